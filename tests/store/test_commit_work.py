"""What rides in a commit beside events: work items, snapshots, births of campaigns and their marks. Both stores."""

import pytest
from both import Both, actor, joined, on_postgres
from commits import head, versions
from durable import birth, emptied, item, migrated, new_uuid
from msgspec.structs import replace

from domainflow.store import commit
from domainflow.store.port import CampaignMark, Committed, Foreign, Item, Ledger, OpenItem, OutOfStep, OverQuota, Stale

__all__ = ["actor", "emptied", "joined", "migrated"]  # fixtures

STATES = ("ready", "claimed", "done", "parked", "dead")


# --- the ledger


def ledger(actor: Both, campaign: str) -> dict[int, str]:
    rows = actor.rows("work_items")["work_items"]
    return {batch: STATES[state] for of, _, _, batch, _, _, _, state, *_ in rows if of == campaign}


def with_work(actor: Both, **states: int) -> tuple[str, Item]:
    """A campaign with one open item a state: batch 0 in the first state, and so on."""
    campaign = new_uuid()
    opens = tuple(OpenItem(1, 1, n, 10 * n, 10 * n + 10, parked=False) for n in range(len(states)))
    opened = item(f"campaign/{campaign}", epoch=1, status="running", campaign=campaign, opens=opens)
    actor.commit(opened)
    for batch, state in enumerate(states.values()):
        actor.plant(campaign, batch, state)
    return campaign, opened


EACH = {"ready": 0, "claimed": 1, "done": 2, "parked": 3, "dead": 4}


def test_items_are_opened_ready_or_parked(actor: Both) -> None:
    campaign = new_uuid()
    opens = (OpenItem(1, 2, 7, 70, 80, parked=False), OpenItem(1, 2, 8, 80, 85, parked=True))
    actor.commit(item("s1", campaign=campaign, opens=opens))
    assert ledger(actor, campaign) == {7: "ready", 8: "parked"}
    rows = actor.rows("work_items")["work_items"]
    assert [row[1:7] for row in rows] == [(1, 2, 7, "acme", 70, 80), (1, 2, 8, "acme", 80, 85)]


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
    actor: Both, change: Ledger | None, expected: list[str]
) -> None:
    campaign, opened = with_work(actor, **EACH)
    bystander, _ = with_work(actor, **EACH)
    actor.commit(item(opened.stream, opened, epoch=1, campaign=campaign, ledger=change))
    assert list(dict(sorted(ledger(actor, campaign).items())).values()) == expected
    assert list(dict(sorted(ledger(actor, bystander).items())).values()) == list(EACH)


def test_what_is_revived_begins_to_count_anew(actor: Both) -> None:
    campaign, opened = with_work(actor, dead=4)
    actor.commit(item(opened.stream, opened, epoch=1, campaign=campaign, ledger=Ledger.REVIVE))
    (revived,) = actor.rows("work_items")["work_items"]
    assert revived[9:12] == (0, 0, 0)


@on_postgres
def test_dropping_removes_all_items_and_only_the_results_that_were_not_accounted(actor: Both) -> None:
    campaign, opened = with_work(actor, ready=0, claimed=1, done=2)
    for batch in (2, 9):  # 9 was accounted before: its item is gone
        actor.upkeep.execute(
            "insert into domainflow.batch (campaign, phase, run, batch, tenant, start, stop, counts, outcomes) "
            "values (%s, 1, 1, %s, 'acme', %s, %s, '', '')",
            (campaign, batch, 10 * batch, 10 * batch + 10),
        )
        actor.upkeep.execute(
            "insert into domainflow.hit (campaign, phase, run, position, tenant, body) "
            "values (%s, 1, 1, %s, 'acme', '')",
            (campaign, 10 * batch + 3),
        )
    dropped = item(opened.stream, opened, epoch=1, status="cancelled", campaign=campaign, ledger=Ledger.DROP)
    assert commit.needs_group([dropped])
    assert actor.group(dropped) == Committed(2)
    assert ledger(actor, campaign) == {}
    assert actor.see("select batch from domainflow.batch") == [9]
    assert actor.see("select position from domainflow.hit") == [93]


def test_a_refused_drop_drops_nothing(actor: Both) -> None:
    campaign, opened = with_work(actor, ready=0, done=2)
    stale = replace(item(opened.stream, opened, epoch=0, campaign=campaign, ledger=Ledger.DROP))
    assert actor.group(stale) == Foreign(1)
    assert ledger(actor, campaign) == {0: "ready", 1: "done"}


def test_accounting_deletes_exactly_the_items_that_are_done(actor: Both) -> None:
    campaign, opened = with_work(actor, first=2, second=2, third=2)
    first, second, third = actor.item_ids()
    accounts = item(opened.stream, opened, epoch=1, campaign=campaign, accounts=(first, third))
    assert actor.commit(accounts) == [Committed(2)]
    assert actor.item_ids() == [second]


@pytest.mark.parametrize("state", ["ready", "claimed", "parked", "dead", "gone"])
def test_accounting_what_is_not_done_is_refused_as_a_whole(actor: Both, state: str) -> None:
    campaign, opened = with_work(actor, first=2, second=EACH.get(state, 2))
    first, second = actor.item_ids()
    if state == "gone":
        second += 1_000_000
    before = ledger(actor, campaign)
    late = item(opened.stream, opened, epoch=1, campaign=campaign, accounts=(first, second))
    assert actor.commit(late, item("s1")) == [OutOfStep(), Committed(1)]
    assert ledger(actor, campaign) == before
    assert versions(actor, opened.stream) == [1]


# --- snapshots, births of campaigns, marks


def test_a_later_snapshot_takes_the_place_of_an_earlier_one(actor: Both) -> None:
    first = item("s1", snapshot=b"one", fold_version=1)
    actor.commit(first)
    actor.commit(item("s1", first, events=2, snapshot=b"three", fold_version=2))
    assert actor.rows("snapshots")["snapshots"] == [("s1", 3, 2, b"three")]
    assert actor.streams.load(actor.upkeep, "s1", fold_version=2).events == ()
    assert actor.streams.load(actor.upkeep, "s1", fold_version=2).snapshot == b"three"
    loaded = actor.streams.load(actor.upkeep, "s1", fold_version=1)  # another fold: built anew from the events
    assert (loaded.snapshot, len(loaded.events), loaded.version) == (None, 3, 3)


def test_a_campaign_is_born_with_the_range_that_was_reserved_for_it_or_not_at_all(actor: Both) -> None:
    pattern, id_ = item("pattern/acme/p"), new_uuid()
    assert actor.group(pattern, birth(id_)) == Committed(1)
    assert [row[0] for row in actor.rows("campaigns")["campaigns"]] == [id_]
    other = new_uuid()
    assert actor.group(item("pattern/acme/p"), birth(other)) == Stale(1)
    assert head(actor, f"campaign/{other}") is None
    assert actor.group(item("pattern/acme/p", pattern), birth(id_)) == Stale(1)  # a second birth
    assert versions(actor, "pattern/acme/p") == [1]
    assert len(actor.rows("campaigns")["campaigns"]) == 1


def test_a_quota_is_refused_as_data_with_its_words(actor: Both) -> None:
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


def test_a_campaign_that_has_ended_or_is_deleted_is_not_active_but_was_created(actor: Both) -> None:
    first, second = new_uuid(), new_uuid()
    one, two = birth(first), birth(second)
    actor.group(item("p1"), one)
    actor.group(item("p2"), two)
    actor.commit(item(one.stream, one, epoch=1, status="cancelled"))
    actor.group(item(two.stream, two, epoch=1, status="pending", campaign=second, mark=CampaignMark(deleted=True)))
    assert actor.group(item("p3"), birth(new_uuid(), most_active=1)) == Committed(1)
    assert isinstance(actor.group(item("p4"), birth(new_uuid(), most_created_a_day=3)), OverQuota)


def test_a_mark_changes_what_it_names_and_nothing_else(actor: Both) -> None:
    id_ = new_uuid()
    born = birth(id_)
    actor.group(item("p1"), born)
    archived = item(born.stream, born, epoch=1, campaign=id_, mark=CampaignMark(business_status="archived"))
    assert commit.needs_group([archived])
    actor.group(archived)
    actor.group(item(born.stream, archived, epoch=1, campaign=id_, mark=CampaignMark(deleted=True)))
    assert actor.rows("campaigns")["campaigns"] == [(id_, "acme", "alice", "archived", True)]
