"""The commit statement: what it writes, what it refuses as data, and whom a refusal hurts. Real Postgres."""

from collections.abc import Iterator

import psycopg
import pytest
from conftest import Database
from durable import Actor, acting, birth, emptied, event, item, migrated, new_uuid
from msgspec.structs import replace

from domainflow.store import commit, streams
from domainflow.store.port import (
    BoxAnswer,
    CampaignMark,
    Committed,
    Foreign,
    Item,
    Key,
    KeyTaken,
    Ledger,
    OpenItem,
    OutOfStep,
    OverQuota,
    Stale,
)

__all__ = ["emptied", "migrated"]  # fixtures

STATES = ("ready", "claimed", "done", "parked", "dead")


@pytest.fixture
def actor(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn) as acts:
        yield acts


def head(actor: Actor, stream: str) -> streams.Head | None:
    return streams.head(actor.upkeep, stream)


def versions(actor: Actor, stream: str) -> list[int]:
    return [recorded.version for recorded in streams.events(actor.upkeep, stream, after=0)]


def key(text: str = "k1", command: bytes = b"c", answer: bytes = b"a") -> Key:
    return Key(principal="alice", key=text, command_hash=command, answer=answer)


# --- births and moves


def test_streams_are_born_and_move(actor: Actor) -> None:
    born = item("s1", events=2, epoch=1, status="queued")
    assert actor.commit(born, item("s2"), item("s3", tenant="other", epoch=1)) == [
        Committed(2),
        Committed(1),
        Committed(1),
    ]
    assert actor.commit(item("s1", born, events=3, epoch=1, status="running")) == [Committed(5)]
    assert versions(actor, "s1") == [1, 2, 3, 4, 5]
    stands = head(actor, "s1")
    assert stands is not None
    assert (stands.tenant, stands.version, stands.epoch, stands.status) == ("acme", 5, 1, "running")
    assert stands.hash == streams.events(actor.upkeep, "s1", after=4)[0].hash


def test_an_event_comes_back_as_it_was_recorded(actor: Actor) -> None:
    written = item("s1", body=bytes(range(256)))
    actor.commit(written)
    (read,) = streams.events(actor.upkeep, "s1", after=0)
    new = written.events[0]
    assert (read.body, read.context, read.hash, read.recorded_at_us) == (
        new.body,
        new.context,
        new.hash,
        new.recorded_at_us,
    )
    assert (read.type, read.type_version, read.tenant) == ("test.moved", 1, "acme")


# --- refused as data


def refusals() -> list[tuple[str, Item, object]]:
    born = item("s1", epoch=1, status="queued")
    second = item("s1", born, epoch=1)
    return [
        ("a stale version", item("s1", second, epoch=1), Stale(1)),
        ("a version that is gone", replace(second, expected=0, previous=bytes(32)), Stale(1)),
        ("another hash", replace(second, previous=b"\1" * 32), Stale(1)),
        ("another tenant", item("s1", born, tenant="other", epoch=1), Stale(None)),
        ("an old epoch", replace(second, epoch=0), Foreign(1)),
        ("no epoch", replace(second, epoch=None), Foreign(1)),
        ("a stream that does not exist", item("s9", born, epoch=1), Stale(None)),
    ]


@pytest.mark.parametrize(("item_", "refused"), [row[1:] for row in refusals()], ids=[row[0] for row in refusals()])
def test_what_does_not_fit_is_refused_and_hurts_nobody_else(actor: Actor, item_: Item, refused: object) -> None:
    first, left = item("s1", epoch=1, status="queued"), item("left")
    actor.commit(first, left)
    before = head(actor, "s1")
    outcomes = actor.commit(item("left", left), item_, item("right"))
    assert outcomes[::2] == [Committed(2), Committed(1)]
    assert type(outcomes[1]) is type(refused)
    if item_.tenant == "acme":
        assert outcomes[1] == refused
    assert head(actor, "s1") == before
    assert versions(actor, "s1") == [1]
    assert (versions(actor, "left"), versions(actor, "right"), versions(actor, "s9")) == ([1, 2], [1], [])


def test_a_claim_that_raised_the_epoch_fences_the_former_owner(actor: Actor) -> None:
    born = item("s1", epoch=1)
    actor.commit(born)
    actor.upkeep.execute("update domainflow.head set epoch = 2 where stream = 's1'")
    assert actor.commit(item("s1", born, epoch=1)) == [Foreign(2)]
    assert actor.commit(item("s1", born, epoch=2)) == [Committed(2)]


def test_a_refused_item_takes_nothing_with_it_that_would_have_ridden_along(actor: Actor) -> None:
    campaign = new_uuid()
    actor.commit(item("s1"))
    late = item("s1", snapshot=b"state", campaign=campaign, opens=(OpenItem(0, 1, 0, 0, 10, parked=False),), key=key())
    assert actor.commit(late) == [Stale(1)]
    for table in ("snapshot", "work_item", "idempotency"):
        assert actor.see(f"select count(*) from domainflow.{table}") == [0]


# --- the generation


def test_a_statement_of_an_old_generation_does_nothing(actor: Actor) -> None:
    old = commit.Lane(actor.runtime, 0)
    old.generation = actor.lane.generation
    actor.lane.raise_generation(actor.app)
    with pytest.raises(commit.BarredError):
        commit.commit_batch(actor.app, old, [item("s1")])
    with pytest.raises(commit.BarredError):
        commit.commit_group(actor.app, old, [birth(new_uuid())])
    assert actor.see("select count(*) from domainflow.head") == [0]
    assert actor.commit(item("s1")) == [Committed(1)]


def test_lanes_of_one_runtime_do_not_bar_each_other(actor: Actor) -> None:
    other = commit.Lane(actor.runtime, 1)
    other.raise_generation(actor.app)
    assert actor.commit(item("s1")) == [Committed(1)]
    assert commit.commit_batch(actor.app, other, [item("s2")]) == [Committed(1)]


def test_what_was_committed_is_told_apart_from_what_was_not(actor: Actor) -> None:
    born = item("s1")
    actor.commit(born)
    assert commit.was_committed(actor.app, born)
    assert not commit.was_committed(actor.app, item("s1", born))
    assert not commit.was_committed(actor.app, item("s1", body=b"another one of this version"))


# --- once


def test_an_idempotency_key_counts_once_and_gives_the_first_answer(actor: Actor) -> None:
    first = item("s1", key=key(answer=b"first"))
    assert actor.commit(first) == [Committed(1)]
    assert actor.commit(item("s1", first, key=key(answer=b"second")), item("s2")) == [
        KeyTaken(b"c", b"first"),
        Committed(1),
    ]
    assert versions(actor, "s1") == [1]


@pytest.mark.parametrize("other", [{"tenant": "other"}, {"key": key("k2")}, {"key": replace(key(), principal="bob")}])
def test_a_key_is_its_principals_and_its_tenants(actor: Actor, other: dict[str, str]) -> None:
    actor.commit(item("s1", key=key()))
    assert actor.commit(item("s2", **{"key": key(), **other})) == [Committed(1)]


def test_a_boxed_command_is_answered_once(actor: Actor) -> None:
    command = new_uuid()
    actor.app.execute("select set_config('domainflow.tenants', 'acme', false)")
    actor.app.execute(
        "insert into domainflow.command (id, stream, tenant, body, context, deadline) values (%s, 's1', 'acme', '', '', now())",
        (command,),
    )
    first = item("s1", box=BoxAnswer(command, b"first"))
    assert actor.commit(first) == [Committed(1)]
    assert actor.commit(item("s1", first, box=BoxAnswer(command, b"second"))) == [KeyTaken(b"", b"first")]
    assert actor.see("select answer from domainflow.command where answered_at is not null") == [b"first"]


# --- the ledger


def ledger(actor: Actor, campaign: str) -> dict[int, str]:
    rows = actor.upkeep.execute(
        "select batch, state from domainflow.work_item where campaign = %s", (campaign,)
    ).fetchall()
    return {batch: STATES[state] for batch, state in rows}


def with_work(actor: Actor, **states: int) -> tuple[str, Item]:
    """A campaign with one open item a state: batch 0 in the first state, and so on."""
    campaign = new_uuid()
    opens = tuple(OpenItem(1, 1, n, 10 * n, 10 * n + 10, parked=False) for n in range(len(states)))
    opened = item(f"campaign/{campaign}", epoch=1, status="running", campaign=campaign, opens=opens)
    actor.commit(opened)
    for batch, state in enumerate(states.values()):
        actor.upkeep.execute(
            "update domainflow.work_item set state = %s, failures = 2, losses = 2, lost_alone = 2 where campaign = %s and batch = %s",
            (state, campaign, batch),
        )
    return campaign, opened


EACH = {"ready": 0, "claimed": 1, "done": 2, "parked": 3, "dead": 4}


def test_items_are_opened_ready_or_parked(actor: Actor) -> None:
    campaign = new_uuid()
    opens = (OpenItem(1, 2, 7, 70, 80, parked=False), OpenItem(1, 2, 8, 80, 85, parked=True))
    actor.commit(item("s1", campaign=campaign, opens=opens))
    assert ledger(actor, campaign) == {7: "ready", 8: "parked"}
    sql = "select array[phase, run, batch, start, stop] from domainflow.work_item order by batch"
    assert actor.see(sql) == [[1, 2, 7, 70, 80], [1, 2, 8, 80, 85]]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (Ledger.PARK, ["parked", "claimed", "done", "parked", "dead"]),
        (Ledger.UNPARK, ["ready", "claimed", "done", "ready", "dead"]),
        (Ledger.REVIVE, ["ready", "claimed", "done", "ready", "ready"]),
        (None, ["ready", "claimed", "done", "parked", "dead"]),
    ],
)
def test_a_commit_shifts_the_open_items_of_its_campaign(
    actor: Actor, change: Ledger | None, expected: list[str]
) -> None:
    campaign, opened = with_work(actor, **EACH)
    bystander, _ = with_work(actor, **EACH)
    actor.commit(item(opened.stream, opened, epoch=1, campaign=campaign, ledger=change))
    assert list(dict(sorted(ledger(actor, campaign).items())).values()) == expected
    assert list(dict(sorted(ledger(actor, bystander).items())).values()) == list(EACH)


def test_what_is_revived_begins_to_count_anew(actor: Actor) -> None:
    campaign, opened = with_work(actor, dead=4)
    actor.commit(item(opened.stream, opened, epoch=1, campaign=campaign, ledger=Ledger.REVIVE))
    assert actor.see("select array[failures, losses, lost_alone] from domainflow.work_item") == [[0, 0, 0]]


def test_dropping_removes_all_items_and_only_the_results_that_were_not_accounted(actor: Actor) -> None:
    campaign, opened = with_work(actor, ready=0, claimed=1, done=2)
    for batch in (2, 9):  # 9 was accounted before: its item is gone
        actor.upkeep.execute(
            "insert into domainflow.batch (campaign, phase, run, batch, tenant, start, stop, counts, outcomes) "
            "values (%s, 1, 1, %s, 'acme', %s, %s, '', '')",
            (campaign, batch, 10 * batch, 10 * batch + 10),
        )
        actor.upkeep.execute(
            "insert into domainflow.hit (campaign, phase, run, position, tenant, body) values (%s, 1, 1, %s, 'acme', '')",
            (campaign, 10 * batch + 3),
        )
    dropped = item(opened.stream, opened, epoch=1, status="cancelled", campaign=campaign, ledger=Ledger.DROP)
    assert commit.needs_group([dropped])
    assert actor.group(dropped) == Committed(2)
    assert ledger(actor, campaign) == {}
    assert actor.see("select batch from domainflow.batch") == [9]
    assert actor.see("select position from domainflow.hit") == [93]


def test_a_refused_drop_drops_nothing(actor: Actor) -> None:
    campaign, opened = with_work(actor, ready=0, done=2)
    stale = replace(item(opened.stream, opened, epoch=0, campaign=campaign, ledger=Ledger.DROP))
    assert actor.group(stale) == Foreign(1)
    assert ledger(actor, campaign) == {0: "ready", 1: "done"}


def test_accounting_deletes_exactly_the_items_that_are_done(actor: Actor) -> None:
    campaign, opened = with_work(actor, first=2, second=2, third=2)
    first, second, third = actor.see("select id from domainflow.work_item order by batch")
    accounts = item(opened.stream, opened, epoch=1, campaign=campaign, accounts=(first, third))
    assert actor.commit(accounts) == [Committed(2)]
    assert actor.see("select id from domainflow.work_item") == [second]


@pytest.mark.parametrize("state", ["ready", "claimed", "parked", "dead", "gone"])
def test_accounting_what_is_not_done_is_refused_as_a_whole(actor: Actor, state: str) -> None:
    campaign, opened = with_work(actor, first=2, second=EACH.get(state, 2))
    first, second = actor.see("select id from domainflow.work_item order by batch")
    if state == "gone":
        actor.upkeep.execute("delete from domainflow.work_item where id = %s", (second,))
    before = ledger(actor, campaign)
    late = item(opened.stream, opened, epoch=1, campaign=campaign, accounts=(first, second))
    assert actor.commit(late, item("s1")) == [OutOfStep(), Committed(1)]
    assert ledger(actor, campaign) == before
    assert versions(actor, opened.stream) == [1]


# --- snapshots, births of campaigns, marks


def test_a_later_snapshot_takes_the_place_of_an_earlier_one(actor: Actor) -> None:
    first = item("s1", snapshot=b"one", fold_version=1)
    actor.commit(first)
    actor.commit(item("s1", first, events=2, snapshot=b"three", fold_version=2))
    assert actor.upkeep.execute("select version, fold_version, state from domainflow.snapshot").fetchall() == [
        (3, 2, b"three")
    ]
    assert streams.load(actor.upkeep, "s1", fold_version=2).events == ()
    assert streams.load(actor.upkeep, "s1", fold_version=2).snapshot == b"three"
    loaded = streams.load(actor.upkeep, "s1", fold_version=1)  # another fold: built anew from the events
    assert (loaded.snapshot, len(loaded.events), loaded.version) == (None, 3, 3)


def test_a_campaign_is_born_with_the_range_that_was_reserved_for_it_or_not_at_all(actor: Actor) -> None:
    pattern, id_ = item("pattern/acme/p"), new_uuid()
    assert actor.group(pattern, birth(id_)) == Committed(1)
    assert actor.see("select id::text from domainflow.campaign") == [id_]
    other = new_uuid()
    assert actor.group(item("pattern/acme/p"), birth(other)) == Stale(1)
    assert head(actor, f"campaign/{other}") is None
    assert actor.group(item("pattern/acme/p", pattern), birth(id_)) == Stale(1)  # a second birth
    assert versions(actor, "pattern/acme/p") == [1]
    assert actor.see("select count(*) from domainflow.campaign") == [1]


def test_a_quota_is_refused_as_data_with_its_words(actor: Actor) -> None:
    pattern = item("pattern/acme/p")
    actor.group(pattern, birth(new_uuid(), most_active=1))
    refused = actor.group(item("pattern/acme/p", pattern), birth(new_uuid(), most_active=1))
    assert refused == OverQuota("alice has 1 active campaigns, and 1 are allowed")
    refused = actor.group(item("pattern/acme/p", pattern), birth(new_uuid(), most_created_a_day=1))
    assert refused == OverQuota("alice created 1 campaigns in 24 h, and 1 are allowed")
    assert versions(actor, "pattern/acme/p") == [1]
    assert actor.group(item("pattern/acme/p", pattern), birth(new_uuid(), principal="bob", most_active=1)) == Committed(
        2
    )


def test_a_campaign_that_has_ended_or_is_deleted_is_not_active_but_was_created(actor: Actor) -> None:
    first, second = new_uuid(), new_uuid()
    one, two = birth(first), birth(second)
    actor.group(item("p1"), one)
    actor.group(item("p2"), two)
    actor.commit(item(one.stream, one, epoch=1, status="cancelled"))
    actor.group(item(two.stream, two, epoch=1, status="pending", campaign=second, mark=CampaignMark(deleted=True)))
    assert actor.group(item("p3"), birth(new_uuid(), most_active=1)) == Committed(1)
    assert isinstance(actor.group(item("p4"), birth(new_uuid(), most_created_a_day=3)), OverQuota)


def test_a_mark_changes_what_it_names_and_nothing_else(actor: Actor) -> None:
    id_ = new_uuid()
    born = birth(id_)
    actor.group(item("p1"), born)
    archived = item(born.stream, born, epoch=1, campaign=id_, mark=CampaignMark(business_status="archived"))
    assert commit.needs_group([archived])
    actor.group(archived)
    actor.group(item(born.stream, archived, epoch=1, campaign=id_, mark=CampaignMark(deleted=True)))
    rows = actor.upkeep.execute("select business_status, deleted_at is not null from domainflow.campaign").fetchall()
    assert rows == [("archived", True)]


# --- what raises


def test_what_postgres_cannot_store_raises_and_nothing_of_the_batch_is_written(actor: Actor) -> None:
    poison = replace(item("s2"), status="nul \0 byte")
    with pytest.raises(psycopg.DataError):
        actor.commit(item("s1"), poison)
    assert head(actor, "s1") is None
    assert actor.commit(item("s1")) == [Committed(1)]


def test_an_event_that_is_there_already_raises_instead_of_being_overwritten(actor: Actor) -> None:
    actor.commit(item("s1"))
    actor.upkeep.execute("update domainflow.head set version = 0, hash = %s where stream = 's1'", (bytes(32),))
    forged = Item(stream="s1", tenant="acme", expected=0, previous=bytes(32), events=(event("s1", 1, bytes(32)),))
    assert actor.commit(forged) == [Stale(0)]  # a birth never takes the place of a stream
