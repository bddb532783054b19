"""The command box: who finds what in it, and that a command is answered once. Both stores."""

from both import Both, actor, joined, other
from durable import emptied, item, migrated, new_uuid

__all__ = ["actor", "emptied", "joined", "migrated", "other"]  # fixtures

DAY_S = 24 * 3600.0


def put(actor: Both, stream: str = "s1", *, body: bytes = b"", deadline_s: float = 60.0) -> str:
    command = new_uuid()
    actor.put(command, stream, body=body, deadline_s=deadline_s)
    return command


def pending(actor: Both) -> list[str]:
    return [boxed.id for boxed in actor.commands.pending(actor.upkeep, actor.runtime)]


def test_the_oldest_command_of_each_stream_waits_for_whoever_owns_it(actor: Both, other: Both) -> None:
    actor.commit(item("s1", epoch=1), item("s2", epoch=1), item("s3", epoch=1))
    first, theirs, last, third = put(actor, "s2"), put(actor, "s1"), put(actor, "s2"), put(actor, "s3")
    assert (pending(actor), pending(other)) == ([], [])
    for stream in ("s2", "s3"):
        actor.leases.claim_stream(actor.upkeep, actor.runtime, stream)
    other.leases.claim_stream(other.upkeep, other.runtime, "s1")
    assert (pending(actor), pending(other)) == ([first, third], [theirs])
    assert [each.id for each in actor.commands.pending(actor.upkeep, actor.runtime, busy={"s2"})] == [third]
    assert actor.commands.withdraw(actor.upkeep, first, b"never mind")
    assert pending(actor) == [last, third]


def test_a_command_comes_out_as_it_was_put_in(actor: Both) -> None:
    actor.commit(item("s1", epoch=1), item("s2", epoch=1))
    for stream in ("s1", "s2"):
        actor.leases.claim_stream(actor.upkeep, actor.runtime, stream)
    fresh, late = put(actor, body=b"do"), put(actor, "s2", body=b"too late", deadline_s=30.0)
    actor.age_commands(40.0)
    found = actor.commands.pending(actor.upkeep, actor.runtime)
    assert [(each.id, each.stream, each.tenant, each.body, each.left_s < 0) for each in found] == [
        (fresh, "s1", "acme", b"do", False),
        (late, "s2", "acme", b"too late", True),
    ]


def test_who_takes_a_command_back_answers_it_unless_it_was_answered(actor: Both) -> None:
    actor.commit(item("s1", epoch=1))
    actor.leases.claim_stream(actor.upkeep, actor.runtime, "s1")
    command = put(actor)
    assert actor.commands.answer(actor.upkeep, command) is None
    assert actor.commands.withdraw(actor.upkeep, command, b"never mind")
    assert not actor.commands.withdraw(actor.upkeep, command, b"again")
    assert actor.commands.answer(actor.upkeep, command) == b"never mind"
    assert pending(actor) == []


def test_what_is_a_day_old_is_forgotten(actor: Both) -> None:
    old = put(actor)
    actor.age_commands(DAY_S + 1)
    new = put(actor)
    actor.commands.prune(actor.upkeep)
    assert [row[0] for row in actor.rows("commands")["commands"]] == [new]
    assert actor.commands.answer(actor.upkeep, old) is None
