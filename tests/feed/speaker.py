"""A second process, which commands campaigns when it is told to."""

from pathlib import Path
from typing import Final

from child import Talk

from domainflow import CampaignSpec, Principal, Runtime
from domainflow.settings import Settings
from domainflow.spec import PatternSource
from domainflow.vocabulary import PatternType

ALICE: Final = Principal(id="alice", roles=("operator",), tenant="acme")
SPEC: Final = CampaignSpec(
    name="twelve names",
    source=PatternSource(
        pattern_type=PatternType.PREFIX, variable_length=3, character_set="abcdef", constant="x", tld="com", count=2
    ),
)
MANY: Final = Settings(most_active=1000, most_created_a_day=1000)


def speaker(talk: Talk, *, dsn: str, home: str) -> None:
    """Create a campaign at "create", start one at "start ID"; say which, and at which version it is then."""
    with Runtime.open(dsn, home=Path(home), settings=MANY, campaigns=False, work=False) as runtime:
        operations = runtime.as_principal(ALICE)
        talk.say("ready")
        while line := talk.hear():
            word, _, id_ = line.partition(" ")
            if word == "create":
                talk.say("created", operations.create_campaign(SPEC).id)
            else:
                talk.say("started", operations.campaign(id_).start().version)
