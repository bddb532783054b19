"""A commit lane answers everything it took exactly once, whatever becomes of connection, server side or itself."""

import os

import msgspec
import psycopg
import pytest
from durable import SOON_S, Actor, await_blocked, birth, emptied, item, migrated, new_uuid, row_lock
from lane_stage import LOCK_GATE, actor, admin, answers, chain, hold_up, lane, lanes, note, versions
from msgspec.structs import replace
from stage import Answers, Stage, commit_each, stage

from domainflow.actors.coordinator.hand import MOST_BYTES, MOST_ITEMS
from domainflow.actors.mailbox import CAPACITY
from domainflow.errors import MailboxFull
from domainflow.store.port import Committed, Failed, Key, KeyTaken, Stale

__all__ = ["actor", "admin", "answers", "emptied", "lane", "lanes", "migrated"]  # fixtures


# --- batches


def test_commits_of_many_streams_are_all_answered_each_stream_in_its_order(
    lanes: Stage, actor: Actor, answers: Answers
) -> None:
    chains = [chain(f"s{n}", 5) for n in range(20)]
    commit_each(lanes, answers, [each for step in zip(*chains, strict=True) for each in step])
    assert answers.take(100) == {f"s{n}@{v}": Committed(v) for n in range(20) for v in range(1, 6)}
    assert all(versions(actor, f"s{n}") == [1, 2, 3, 4, 5] for n in range(20))


def test_what_gathers_behind_a_commit_goes_in_one_transaction(
    lane: Stage, actor: Actor, admin: str, answers: Answers
) -> None:
    gate = hold_up(lane, answers)
    with row_lock(admin, LOCK_GATE) as blocker:
        commit_each(lane, answers, [gate])
        await_blocked(admin, 1)
        commit_each(lane, answers, [item(f"s{n}") for n in range(50)])
        blocker.rollback()
    answers.take(51)
    assert actor.see("select count(distinct xid::text) from domainflow.event where stream like 's%%'") == [1]


def test_one_refused_item_does_not_hold_up_its_batch(lane: Stage, admin: str, answers: Answers) -> None:
    gate = hold_up(lane, answers)
    with row_lock(admin, LOCK_GATE) as blocker:
        commit_each(lane, answers, [gate])
        await_blocked(admin, 1)
        commit_each(lane, answers, [item("s1"), item("s2", item("s2")), item("s3")])
        blocker.rollback()
    assert answers.take(4) == {"gate@2": Committed(2), "s1@1": Committed(1), "s2@2": Stale(None), "s3@1": Committed(1)}


def test_a_group_keeps_its_place_and_commits_alone(lane: Stage, actor: Actor, admin: str, answers: Answers) -> None:
    gate, id_ = hold_up(lane, answers), new_uuid()
    first = item("pattern/acme/p")
    with row_lock(admin, LOCK_GATE) as blocker:
        commit_each(lane, answers, [gate])
        await_blocked(admin, 1)
        commit_each(lane, answers, [item("s1"), first])
        lane.committer.commit((item(first.stream, first), birth(id_)), answers.to("group"))
        commit_each(lane, answers, [item("s2")])
        blocker.rollback()
    assert answers.take(5)["group"] == Committed(2)
    assert versions(actor, f"campaign/{id_}") == [1]


def test_a_batch_has_a_bound_of_items_and_of_bytes(lane: Stage, actor: Actor, admin: str, answers: Answers) -> None:
    gate = hold_up(lane, answers)
    heavy = [replace(item(f"h{n}"), snapshot=os.urandom(MOST_BYTES // 2)) for n in range(6)]
    with row_lock(admin, LOCK_GATE) as blocker:
        commit_each(lane, answers, [gate])
        await_blocked(admin, 1)
        commit_each(lane, answers, [*heavy, *(item(f"s{n}") for n in range(MOST_ITEMS + 50))])
        blocker.rollback()
    answers.take(MOST_ITEMS + 57)
    sizes = "select count(*) from domainflow.event where stream like %s group by xid order by xid"
    assert actor.see(sizes, "h%") == [2, 2, 2]
    assert max(actor.see(sizes, "s%")) == MOST_ITEMS


def test_a_lane_takes_no_more_in_hand_than_a_batch_and_whoever_finds_its_mailbox_full_is_told_so(
    lane: Stage, admin: str, answers: Answers
) -> None:
    gate, other = hold_up(lane, answers), hold_up(lane, answers, "other")
    with row_lock(admin, LOCK_GATE) as blocker, row_lock(admin, LOCK_GATE.replace("gate", "other")) as second:
        commit_each(lane, answers, [gate])
        await_blocked(admin, 1)
        commit_each(lane, answers, [other, *(item(f"early{n}") for n in range(4 * MOST_ITEMS))])
        blocker.rollback()
        answers.take(1)
        await_blocked(admin, 1)  # with a batch that `other` holds up
        taken = send_until_full(lane, answers)
        second.rollback()
    assert 4 * MOST_ITEMS + 1 + taken == CAPACITY + MOST_ITEMS
    answers.take(CAPACITY + MOST_ITEMS)
    commit_each(lane, answers, [item("next")])
    assert answers.take(1) == {"next@1": Committed(1)}


def send_until_full(lane: Stage, answers: Answers) -> int:
    """Send commits until one is not taken; how many were."""
    for taken in range(2 * CAPACITY):
        try:
            commit_each(lane, answers, [item(f"late{taken}")])
        except MailboxFull:
            return taken
    raise AssertionError("the mailbox has no bound")


# --- poison


@pytest.mark.parametrize("text", ["a byte that no text may hold: \0", "half a surrogate pair: \ud800"])
def test_a_poison_item_is_found_and_the_others_are_committed(
    lane: Stage, actor: Actor, admin: str, answers: Answers, text: str
) -> None:
    gate = hold_up(lane, answers)
    with row_lock(admin, LOCK_GATE) as blocker:
        commit_each(lane, answers, [gate])
        await_blocked(admin, 1)
        poison = replace(item("s3"), status=text)
        commit_each(lane, answers, [item("s1"), item("s2"), poison, item("s4"), item("s5"), item("s6")])
        blocker.rollback()
    came = answers.take(7)
    assert isinstance(came.pop("s3@1"), Failed)
    assert set(came.values()) == {Committed(1), Committed(2)}
    assert [stream for stream in ("s1", "s2", "s3", "s4", "s5", "s6") if versions(actor, stream)] == [
        "s1",
        "s2",
        "s4",
        "s5",
        "s6",
    ]


def test_an_event_row_that_is_there_already_is_poison_too(lane: Stage, actor: Actor, answers: Answers) -> None:
    commit_each(lane, answers, [item("s1")])
    answers.take(1)
    actor.upkeep.execute("reset role")
    with psycopg.connect(actor.dsn.replace("user=domainflow_app", "user=domainflow"), autocommit=True) as owner:
        owner.execute("delete from domainflow.head where stream = 's1'")
    commit_each(lane, answers, [item("s1", body=b"forged"), item("s2")])
    came = answers.take(2)
    assert isinstance(came["s1@1"], Failed)
    assert came["s2@1"] == Committed(1)


@pytest.mark.parametrize("text", ["\0", "\ud800"])
def test_a_poison_group_fails_whole(lane: Stage, actor: Actor, answers: Answers, text: str) -> None:
    born = replace(birth(new_uuid()), status=text)
    lane.committer.commit((item("pattern/acme/p"), born), answers.to("group"))
    assert isinstance(answers.take(1)["group"], Failed)
    assert versions(actor, "pattern/acme/p") == []


# --- the table of legal transitions


def test_a_move_that_the_table_does_not_have_is_refused_before_it_is_sent(
    lane: Stage, actor: Actor, answers: Answers
) -> None:
    illegal = replace(item("s1"), moves=(("pending", "queued"), ("queued", "completed")))
    commit_each(lane, answers, [replace(item("s2"), moves=(("pending", "queued"),)), illegal])
    came = answers.take(2)
    assert came["s2@1"] == Committed(1)
    refused = came["s1@1"]
    assert isinstance(refused, Failed)
    assert "a move that no table allows" in refused.reason
    assert versions(actor, "s1") == []


# --- audit notes


def test_notes_that_are_alike_become_one_record_with_their_number(
    lane: Stage, actor: Actor, admin: str, answers: Answers
) -> None:
    gate = hold_up(lane, answers)
    with row_lock(admin, LOCK_GATE) as blocker:
        commit_each(lane, answers, [gate])
        await_blocked(admin, 1)
        for n in range(60):
            alike = replace(note(), body=msgspec.msgpack.encode({"stream": str(n)}), alike="ab"[n % 2])
            lane.committer.note(alike, answers.to(f"note {n}"))
        lane.committer.note(replace(alike, tenant="umbrella"), answers.to("of another tenant"))
        lane.committer.note(note(), answers.to("like none"))
        blocker.rollback()
    came = answers.take(63)
    assert came["note 0"] == came["note 58"] != came["note 1"] == came["note 59"]
    bodies = actor.see("select body from domainflow.event where stream like 'audit/%%' order by tenant, version")
    assert [body if body == b"what" else msgspec.msgpack.decode(body) for body in bodies] == [
        {"stream": "0", "count": 30},
        {"stream": "1", "count": 30},
        b"what",
        {"stream": "59"},
    ]


def audits(actor: Actor) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    rows = actor.upkeep.execute(
        "select stream, version from domainflow.event where stream like 'audit/%' order by 1, 2"
    )
    for stream, version in rows.fetchall():
        found.setdefault(stream, []).append(version)
    return found


def test_notes_form_a_chain_of_their_own(lane: Stage, actor: Actor, answers: Answers) -> None:
    for n in range(5):
        lane.committer.note(note(), answers.to(f"n{n}"))
    assert list(answers.take(5).values()) == [Committed(n) for n in range(1, 6)]
    ((stream, chained),) = audits(actor).items()
    assert stream.startswith(f"audit/acme/{actor.runtime}/0/")
    assert chained == [1, 2, 3, 4, 5]


def test_a_note_whose_key_is_taken_is_not_recorded_and_the_next_one_is(
    lane: Stage, actor: Actor, answers: Answers
) -> None:
    key = Key(principal="alice", key="k", command_hash=b"c", answer=b"a")
    for n, key_ in enumerate((key, key, None)):
        lane.committer.note(note(key_), answers.to(f"n{n}"))
    assert answers.take(3) == {"n0": Committed(1), "n1": KeyTaken(b"c", b"a"), "n2": Committed(2)}
    assert list(audits(actor).values()) == [[1, 2]]


def test_another_incarnation_of_a_lane_begins_another_chain(actor: Actor, answers: Answers) -> None:
    for n in range(2):
        with stage(actor, lanes=1) as lane:
            lane.committer.note(note(), answers.to(f"n{n}"))
            assert answers.take(1) == {f"n{n}": Committed(1)}
    assert list(audits(actor).values()) == [[1], [1]]


# --- the clock


def test_the_clock_is_the_databases_and_never_goes_back(lane: Stage, actor: Actor) -> None:
    ours = lane.committer.now_us()
    (theirs,) = actor.see("select (extract(epoch from clock_timestamp()) * 1000000)::bigint")
    assert abs(theirs - ours) < SOON_S * 1e6
    lane.clock.set(0)
    assert lane.committer.now_us() >= ours
