"""What the tests of a source and of its actor share: the command that creates a campaign on a hundred names."""

from typing import Final

from domainflow.actors.campaign.events import CampaignCreated
from domainflow.actors.pattern.messages import ReserveOffsets
from domainflow.spec import DnsPersona, HttpPersona, Pattern, ScoringProfile, Source
from domainflow.vocabulary import Mode, PatternType

HUNDRED: Final = Pattern(
    pattern_type=PatternType.PREFIX, variable_length=2, character_set="0123456789", constant="", tld=".com"
)


def reservation(
    count: int, campaign: str, stream: str, *, source: Source = HUNDRED, most_active: int = 10
) -> ReserveOffsets:
    draft = CampaignCreated(
        name="shops",
        description="",
        principal="alice",
        mode=Mode.FULL_SEQUENCE,
        source=source,
        base=0,
        count=0,
        created_at_us=0,
        batch_size=10,
        retries=3,
        window=4,
        skip=(),
        dns=DnsPersona(),
        http=HttpPersona(),
        keywords=(),
        scoring=ScoringProfile(),
    )
    return ReserveOffsets(
        campaign=campaign, stream=stream, draft=draft, count=count, most_active=most_active, most_created_a_day=50
    )
