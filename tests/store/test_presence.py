"""A runtime's presence: it appears, hears, outlives its connection, and leaves. Real Postgres."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psycopg
import pytest
from chaos.proxy import Wire
from child import eventually
from databases import Database
from durable import (
    SOON_S,
    Actor,
    acting,
    await_blocked,
    await_gone,
    emptied,
    in_thread,
    item,
    migrated,
    new_uuid,
    row_lock,
)

from domainflow.errors import StoreUnavailable
from domainflow.store import leases, pool
from domainflow.store.hints import NOTIFY
from domainflow.store.presence import Presence

__all__ = ["emptied", "migrated"]  # fixtures

REGISTRATION: Final = b"insert into domainflow.runtime"


@pytest.fixture
def actor(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn) as acts:
        yield acts


class Guest:
    """A runtime that is there by its presence alone."""

    def __init__(self, dsn: str, lease_s: float = 600.0) -> None:
        self.runtime = new_uuid()
        self.connections: list[psycopg.Connection[tuple[object, ...]]] = []
        self.dsn = dsn
        self.presence = Presence(self._connect, self.runtime, lease_s=lease_s)

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        self.connections.append(pool.connect(self.dsn, "upkeep"))
        return self.connections[-1]

    def kill(self, admin_dsn: str) -> None:
        pid = self.connections[-1].info.backend_pid
        with psycopg.connect(admin_dsn, autocommit=True) as killer:
            killer.execute("select pg_terminate_backend(%s)", (pid,))
        await_gone(admin_dsn, pid)


@pytest.fixture
def guest(emptied: Database) -> Iterator[Guest]:
    made = Guest(emptied.dsn)
    made.presence.appear()
    yield made
    made.presence.disconnect()


def alive(actor: Actor, guest: Guest) -> bool:
    return guest.runtime in actor.see("select id::text from domainflow.live_runtime")


def test_who_appeared_is_alive_and_who_disconnects_is_not(actor: Actor, guest: Guest, emptied: Database) -> None:
    assert alive(actor, guest)
    pid = guest.connections[-1].info.backend_pid
    guest.presence.disconnect()
    await_gone(emptied.admin_dsn, pid)
    assert not alive(actor, guest)


def test_hints_are_heard_at_once_and_silence_is_not_waited_out_for_ever(actor: Actor, guest: Guest) -> None:
    actor.upkeep.execute(NOTIFY, (["command_box"],))
    assert guest.presence.listen(10.0) == ["command_box"]
    assert guest.presence.listen(0.01) == []


def test_a_lost_connection_is_made_good_and_says_that_hints_may_have_been_missed(
    actor: Actor, guest: Guest, emptied: Database
) -> None:
    guest.kill(emptied.admin_dsn)
    assert not alive(actor, guest)
    assert guest.presence.listen(10.0) == [""]
    assert alive(actor, guest)
    assert len(guest.connections) == 2


def test_a_session_that_the_server_still_believes_in_is_not_waited_for(
    actor: Actor, guest: Guest, emptied: Database
) -> None:
    believed, pid = guest.connections[0], guest.connections[0].info.backend_pid
    # Where the network is gone the client's side ends alone: the server keeps the session, and its lock, for hours.
    guest.presence._connection = pool.connect(emptied.dsn, "upkeep")  # noqa: SLF001 - nothing else can lose it so
    guest.presence._connection.close()  # noqa: SLF001 - likewise
    assert in_thread(lambda: guest.presence.listen(10.0)).result(SOON_S) == [""]
    believed.close()
    await_gone(emptied.admin_dsn, pid)
    assert alive(actor, guest)


def test_a_runtime_that_was_forgotten_registers_again(actor: Actor, emptied: Database) -> None:
    guest = Guest(emptied.dsn, lease_s=0.0)  # renewed at every look
    guest.presence.appear()
    actor.upkeep.execute("delete from domainflow.runtime where id = %s", (guest.runtime,))
    guest.presence.listen(0.01)
    assert guest.runtime in actor.see("select id::text from domainflow.runtime")
    guest.presence.disconnect()


def test_a_runtime_whose_registration_was_not_answered_registers_again(
    actor: Actor, emptied: Database, home: Path
) -> None:
    wire = Wire(emptied.dsn, home, words=(REGISTRATION,))
    try:
        guest = Guest(wire.dsn)
        wire.lose_the_answer_of_the_next_commit(of=REGISTRATION)
        appearing = in_thread(guest.presence.appear)
        eventually(lambda: alive(actor, guest), "it is registered and has not heard of it")
        wire.cut()
        with pytest.raises(StoreUnavailable):
            appearing.result(SOON_S)
        guest.presence.appear()
        assert (alive(actor, guest), guest.presence.holds_lease()) == (True, True)
        guest.presence.disconnect()
    finally:
        wire.close()


def test_the_lease_is_renewed_while_it_listens(actor: Actor, emptied: Database) -> None:
    guest = Guest(emptied.dsn, lease_s=0.0)
    guest.presence.appear()
    before = actor.see("select lease_until from domainflow.runtime where id = %s", guest.runtime)
    guest.presence.listen(0.01)
    assert actor.see("select lease_until from domainflow.runtime where id = %s", guest.runtime) > before
    guest.presence.disconnect()


def test_a_renewal_counts_from_its_beginning_however_long_it_took(actor: Actor, emptied: Database) -> None:
    lease_s = 1.0
    guest = Guest(emptied.dsn, lease_s=lease_s)
    guest.presence.appear()
    assert guest.presence.holds_lease()
    lock = "select 1 from domainflow.runtime where id = %s for no key update"
    with row_lock(emptied.admin_dsn, lock, guest.runtime) as blocker:
        renewed = in_thread(lambda: guest.presence.listen(lease_s / 4))  # after that it is time to renew it
        await_blocked(emptied.admin_dsn, 1)
        blocked_s = time.monotonic()
        eventually(lambda: time.monotonic() > blocked_s + lease_s, "the whole lease has gone by")
        blocker.rollback()
        renewed.result(SOON_S)
    # Postgres had reckoned the lease's end before it waited for the row.
    assert (alive(actor, guest), guest.presence.holds_lease()) == (False, False)
    guest.presence.listen(0.0)
    assert (alive(actor, guest), guest.presence.holds_lease(), guest.presence.lapses) == (True, True, 1)
    guest.presence.disconnect()


def test_who_leaves_gives_back_its_streams_and_its_row(actor: Actor, guest: Guest) -> None:
    actor.commit(item("s1", epoch=1))
    leases.claim_stream(actor.upkeep, guest.runtime, "s1")
    guest.presence.leave()
    assert leases.owner(actor.upkeep, "s1") is None
    assert guest.runtime not in actor.see("select id::text from domainflow.runtime")


def test_a_server_that_is_gone_is_said_so_with_what_to_check() -> None:
    with pytest.raises(StoreUnavailable, match=r"cannot connect to Postgres: (.|\n)*check DOMAINFLOW_DSN"):
        pool.connect("host=/nowhere user=x", "app")


def test_a_renewal_that_comes_late_is_counted_and_one_in_time_is_not(emptied: Database) -> None:
    guest = Guest(emptied.dsn, lease_s=0.5)
    guest.presence.appear()
    eventually(guest.presence.is_late, "it should have renewed its lease")
    guest.presence.listen(0.0)
    assert guest.presence.late == 1
    guest.presence.disconnect()
    patient = Guest(emptied.dsn)
    patient.presence.appear()
    assert not patient.presence.is_late()
    patient.presence.appear()
    assert (patient.presence.late, patient.presence.lapses) == (0, 0)
    patient.presence.disconnect()


def test_a_lease_that_was_over_by_the_database_s_clock_alone_has_lapsed_too(actor: Actor, guest: Guest) -> None:
    actor.upkeep.execute(
        "update domainflow.runtime set lease_until = clock_timestamp() where id = %s", (guest.runtime,)
    )
    guest.presence.appear()
    assert (guest.presence.late, guest.presence.lapses) == (1, 1)
