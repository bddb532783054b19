"""What one may ask of a runtime: refused before an actor hears of it, and answered with what is then true."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import psycopg
import pytest
from databases import Database
from durable import SOON_S

from domainflow import CampaignSpec, Operations, Principal, Runtime
from domainflow.actors.behaviour import Behaviour
from domainflow.actors.campaign.events import PhaseConfig
from domainflow.actors.campaign.messages import StartCampaign
from domainflow.actors.children import ChildSpec
from domainflow.actors.ref import Ref
from domainflow.delivery import Delivery
from domainflow.errors import (
    AskTimeout,
    InvalidInput,
    KeyReused,
    NotFound,
    StoreUnavailable,
    Unavailable,
    VersionConflict,
)
from domainflow.security.context import Context
from domainflow.settings import Settings
from domainflow.spec import DnsPersona, HttpPersona, KeywordRule, PatternSource
from domainflow.store.transaction import Kind
from domainflow.tree import Parts
from domainflow.vocabulary import KeywordRuleType, PatternType, Phase, ResolverStrategy

ALICE = Principal(id="alice", roles=("operator",), tenant="acme")
SPEC = CampaignSpec(
    name="twelve names",
    source=PatternSource(
        pattern_type=PatternType.PREFIX, variable_length=2, character_set="abcdef", constant="x", tld="com", count=12
    ),
)
NO_KEYS = ("a\0b", "half a surrogate pair: \ud800", "x" * 201)


@pytest.fixture
def runtime(database: Database, home: Path) -> Iterator[Runtime]:
    """One that executes nothing: a campaign stays where its commands put it."""
    with Runtime.open(database.dsn, home=home, campaigns=False, work=False) as opened:
        yield opened


@pytest.fixture
def ops(runtime: Runtime) -> Operations:
    return runtime.as_principal(ALICE)


@pytest.mark.parametrize("started", [False, True])
def test_the_key_of_a_creation_whose_record_is_gone_is_refused_at_once(
    ops: Operations, database: Database, *, started: bool
) -> None:
    made = ops.create_campaign(SPEC, idempotency_key="k")
    if started:
        made.start()  # so it has had an owner since
    with psycopg.connect(database.admin_dsn, autocommit=True) as admin:
        admin.execute("delete from domainflow.idempotency")  # as after 24 hours
    with pytest.raises(KeyReused, match=f"key k created campaign {made.id} more than a day ago; nothing was created"):
        ops.create_campaign(SPEC, idempotency_key="k", timeout_s=20)
    assert [summary.id for summary in ops.campaigns()] == [made.id]


def test_a_creation_under_a_key_is_the_same_to_a_runtime_with_other_settings(
    ops: Operations, database: Database, home: Path
) -> None:
    made = ops.create_campaign(SPEC, idempotency_key="k")
    settings = Settings(window=5, most_active=5, most_created_a_day=5)
    with Runtime.open(database.dsn, home=home, settings=settings, campaigns=False, work=False) as other:
        assert other.as_principal(ALICE).create_campaign(SPEC, idempotency_key="k").id == made.id


@pytest.mark.parametrize("version", [0, -1, 2**63, True, 1.0, "1"])
def test_a_version_that_no_stream_can_be_at_is_refused(ops: Operations, version: Any) -> None:  # noqa: ANN401 - no int
    handle = ops.create_campaign(SPEC)
    with pytest.raises(InvalidInput, match="expected version: must be a whole number from 1 on, and is"):
        handle.start(expected_version=version)
    assert handle.view().version == 1


def test_a_command_may_be_meant_for_a_version(ops: Operations) -> None:
    handle = ops.create_campaign(SPEC)
    started = handle.start(expected_version=handle.view().version)
    with pytest.raises(VersionConflict, match=f"is at version {started.version}, not at 1; nothing was written"):
        handle.cancel(expected_version=1)
    assert handle.view().version == started.version


def test_a_deletion_under_a_key_can_be_asked_for_again(runtime: Runtime) -> None:
    admin = Principal(id="root", roles=("admin",), tenant="acme")
    handle = runtime.as_principal(admin).create_campaign(SPEC)
    deleted = handle.delete(idempotency_key="k")
    assert handle.delete(idempotency_key="k") == deleted
    with pytest.raises(NotFound):
        handle.delete(idempotency_key="another")
    with pytest.raises(NotFound):
        handle.delete()


@pytest.mark.parametrize("key", NO_KEYS)
def test_what_cannot_be_a_key_is_refused(ops: Operations, key: str) -> None:
    with pytest.raises(InvalidInput, match="idempotency key: must be at most 200 characters"):
        ops.create_campaign(SPEC, idempotency_key=key)
    handle = ops.create_campaign(SPEC)
    with pytest.raises(InvalidInput, match="idempotency key: must be at most 200 characters"):
        handle.start(idempotency_key=key)


def test_words_that_no_text_can_hold_are_refused_and_the_campaign_goes_on(ops: Operations) -> None:
    handle = ops.create_campaign(SPEC)
    with pytest.raises(InvalidInput, match="CancelCampaign"):
        handle.cancel(reason="\ud800")
    with pytest.raises(InvalidInput, match="PauseCampaign"):
        handle.pause(holder="whoever")
    assert handle.start().status == "queued"


@pytest.mark.parametrize(
    ("config", "where"),
    [
        (PhaseConfig(dns=DnsPersona(query_timeout_s=-1)), "dns.query_timeout_s"),
        (PhaseConfig(dns=DnsPersona(strategy=ResolverStrategy.WEIGHTED_ROTATION)), "dns.weights"),
        (PhaseConfig(http=HttpPersona(headers=(("no header", "x"),))), "http.headers"),
        (PhaseConfig(keywords=(KeywordRule(text="(", kind=KeywordRuleType.REGEX),)), "keyword_rules"),
    ],
)
def test_a_phase_is_configured_with_nothing_that_a_spec_may_not_say(
    ops: Operations, config: PhaseConfig, where: str
) -> None:
    handle = ops.create_campaign(SPEC)
    with pytest.raises(InvalidInput, match=where):
        handle.configure_phase(Phase.HTTP_KEYWORD_VALIDATION, config)
    assert handle.view().version == 1


def test_a_close_that_is_interrupted_still_lets_go_of_the_store(
    database: Database, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Runtime, __: float) -> None:
        raise KeyboardInterrupt

    runtime = Runtime.open(database.dsn, home=home, campaigns=False, work=False)
    monkeypatch.setattr(Runtime, "_leave", interrupted)
    with pytest.raises(KeyboardInterrupt):
        runtime.close()
    with pytest.raises(StoreUnavailable), runtime.store.upkeep(Kind.TOOL):
        pass


class Ghosts(Parts):
    """A runtime that finds, whatever it looks for, one of these after the other, and the last one from then on."""

    ghosts: list[Ref[Any]]

    def find_campaign(self, id_: str) -> Ref[Any] | None:  # noqa: ARG002 - any
        return self.ghosts.pop(0) if len(self.ghosts) > 1 else self.ghosts[0]


def haunted(runtime: Runtime, stream: str, *others: ChildSpec) -> Ghosts:
    """A runtime where a campaign's actor has ended, and whose place these have taken."""
    parts = runtime._parts  # noqa: SLF001 - no way leads from outside to an actor that is about to end
    ended = parts.start("campaigns", parts.campaign_spec(stream), SOON_S)
    parts.let_go(stream, SOON_S)
    ghosts = Ghosts(**{field.name: getattr(parts, field.name) for field in fields(Parts)})
    object.__setattr__(ghosts, "ghosts", [ended, *(parts.start("campaigns", other, SOON_S) for other in others)])
    return ghosts


STORY = Context(principal=ALICE, correlation_id="story")


def test_a_command_whose_actor_ended_over_it_is_not_said_to_be_undone(runtime: Runtime, ops: Operations) -> None:
    handle = ops.create_campaign(SPEC)
    with pytest.raises(AskTimeout, match="it is not known whether it was done"):
        Delivery(haunted(runtime, handle.stream), handle.stream).deliver(StartCampaign(), STORY, timeout_s=0.1)


def test_nor_is_it_when_the_next_one_has_no_time_for_it(runtime: Runtime, ops: Operations) -> None:
    handle = ops.create_campaign(SPEC)
    full = ChildSpec(name="full", factory=Behaviour, capacity=0)
    with pytest.raises(Unavailable, match=r"^campaign/\S+ did not answer, .* it is not known whether it was done"):
        Delivery(haunted(runtime, handle.stream, full), handle.stream).deliver(StartCampaign(), STORY, timeout_s=SOON_S)
