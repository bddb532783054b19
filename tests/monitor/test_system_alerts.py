"""Alerts of nobody's: of the server, of runtimes, and of what each runtime alone knows of itself. Real Postgres."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import psycopg
import pytest
from child import eventually
from databases import Database
from durable import Actor, acting, emptied, in_thread, migrated
from msgspec.structs import replace
from reconciler.scenes import ask, happens, opened

from domainflow import Principal, Runtime
from domainflow.actors.monitor import actor as monitor
from domainflow.actors.monitor.messages import SEVERITIES, AlertKind
from domainflow.errors import StoreUnavailable
from domainflow.settings import Settings
from domainflow.store import leases
from domainflow.store.embedded import EmbeddedServer
from domainflow.store.transaction import Kind
from domainflow.views import AlertView

from monitor_mutants import forget_who_has_gone  # isort: skip  # beside this file
from watching import QUICK, watching  # isort: skip  # likewise

__all__ = ["emptied", "migrated"]  # fixtures

WATCHMAN: Final = Principal(id="alice", roles=("operator",), tenant="system")
BRIEF: Final = replace(QUICK, stall_s=3600.0, held_s=3600.0, lag_s=1.0)
CONNECTIONS: Final = 4  # of a pool
LEADER: Final = "select holder::text from domainflow.leader where name = 'monitor'"
MOST_ROOM_MIB: Final = 2_000  # others who use this disk take and give less meanwhile


@pytest.fixture
def other(emptied: Database) -> Iterator[Actor]:
    """Another runtime: it lives and does nothing."""
    with acting(emptied.dsn, lane=9) as acts:
        yield acts


class Watched(NamedTuple):
    """A runtime that watches, and another one that only reads what it has recorded."""

    runtime: Runtime
    reader: Runtime

    @property
    def subject(self) -> str:
        return f"runtime/{self.runtime.id}"

    def found(self, kind: AlertKind, subject: str) -> list[AlertView]:
        """Those that are open about it; a busy server may give cause for others."""
        alerts = self.reader.as_principal(WATCHMAN).alerts()
        return [alert for alert in alerts if (alert.kind, alert.subject) == (kind, subject)]

    def raised(self, kind: AlertKind, subject: str) -> AlertView:
        eventually(lambda: self.found(kind, subject) != [], f"{kind} is raised")
        (alert,) = self.found(kind, subject)
        assert (alert.runbook, alert.severity) == (kind, SEVERITIES[kind])
        return alert

    def resolved(self, alert: AlertView) -> None:
        eventually(lambda: self.found(AlertKind(alert.kind), alert.subject) == [], f"{alert.kind} is resolved")
        ended = {each.number: each for each in self.reader.as_principal(WATCHMAN).alerts(resolved=True)}
        assert (how := ended[alert.number].resolved) is not None
        assert how.by == "monitor"


@contextmanager
def watched(database: Database, home: Path, settings: Settings = BRIEF) -> Iterator[Watched]:
    with watching(database, home, settings) as runtime, opened(database, home, campaigns=False) as reader:
        yield Watched(runtime, reader)


# --- the server


def test_a_transaction_of_another_database_that_stays_open_is_named_and_gone_when_it_has_ended(
    emptied: Database, server: EmbeddedServer, home: Path
) -> None:
    elsewhere = server.dsn("domainflow", "postgres")
    with watched(emptied, home) as stage, psycopg.connect(elsewhere, application_name="a long report") as writer:
        row = writer.execute("select pg_current_xact_id()::text, pg_backend_pid()::text").fetchone()
        assert row is not None
        alert = stage.raised(AlertKind.FEED_HELD_BACK, f"transaction/{row[0]}")
        said = (alert.evidence["pid"], alert.evidence["database"], alert.evidence["application"])
        assert said == (row[1], "postgres", "a long report")
        writer.rollback()
        stage.resolved(alert)


def test_a_runtime_that_stays_and_lets_its_lease_run_out_is_silent_until_it_renews_it_or_dies(
    emptied: Database, home: Path, other: Actor
) -> None:
    with watched(emptied, home) as stage:
        for end in (lambda: leases.renew(other.upkeep, other.runtime, lease_s=600.0), other.die):
            leases.renew(other.upkeep, other.runtime, lease_s=-1.0)
            alert = stage.raised(AlertKind.RUNTIME_SILENT, f"runtime/{other.runtime}")
            end()
            stage.resolved(alert)


# --- a runtime, of itself


def test_a_lease_that_was_over_when_it_was_renewed_is_told_for_a_while(emptied: Database, home: Path) -> None:
    with watched(emptied, home, replace(BRIEF, lease_s=5.0)) as stage:
        mine = stage.runtime.id
        # What a database's clock that is set forward does to it; its runtime's own clock knows nothing of that.
        ask(emptied, "update domainflow.runtime set lease_until = now() - interval '1 s' where id = %s", mine)
        alert = stage.raised(AlertKind.LEASE_LATE, stage.subject)
        assert int(alert.evidence["lapsed"]) >= 1
        stage.resolved(alert)


def test_calls_that_are_refused_a_connection_are_told_for_a_while(emptied: Database, home: Path) -> None:
    with watched(emptied, home) as stage:
        with all_connections(stage.runtime), pytest.raises(StoreUnavailable, match="no connection"):
            a_call(stage.runtime, timeout_s=0.01)
        alert = stage.raised(AlertKind.POOL_EXHAUSTED, stage.subject)
        assert (alert.evidence["data_waiting"], alert.evidence["data_refused"]) == ("0", "1")
        stage.resolved(alert)


def test_calls_that_wait_for_a_connection_for_long_are_told_while_they_do(emptied: Database, home: Path) -> None:
    with watched(emptied, home) as stage:
        with all_connections(stage.runtime):
            waits = in_thread(lambda: a_call(stage.runtime, timeout_s=3600.0))
            alert = stage.raised(AlertKind.POOL_EXHAUSTED, stage.subject)
            assert (alert.evidence["data_waiting"], alert.evidence["data_refused"]) == ("1", "0")
        waits.result(60.0)
        stage.resolved(alert)


def test_a_disk_with_little_room_is_told_until_there_is_some(emptied: Database, home: Path) -> None:
    free = os.statvfs(home)
    free_mib = free.f_bavail * free.f_frsize >> 20
    room_mib = min(MOST_ROOM_MIB, free_mib // 8)
    with watched(emptied, home, replace(BRIEF, least_free_mib=free_mib - room_mib)) as stage:
        assert stage.found(AlertKind.DISK_LOW, stage.subject) == []
        with (home / "filled").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 2 * room_mib << 20)
            alert = stage.raised(AlertKind.DISK_LOW, stage.subject)
            assert alert.evidence["folder"] == str(home)
            file.truncate(0)
        stage.resolved(alert)


def test_who_does_not_lead_tells_of_itself_too_and_when_it_has_gone_nobody_waits_for_it(
    emptied: Database, home: Path
) -> None:
    with watched(emptied, home) as leader:
        eventually(lambda: ask(emptied, LEADER) == [(leader.runtime.id,)], "it leads")
        with watching(emptied, home, replace(BRIEF, least_free_mib=1_000_000_000)) as follower:
            alert = leader.raised(AlertKind.DISK_LOW, f"runtime/{follower.id}")
        leader.resolved(alert)


def test_without_a_look_at_who_has_gone_what_it_told_of_itself_stays(
    emptied: Database, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "of_the_gone", forget_who_has_gone)
    with watched(emptied, home) as leader:
        eventually(lambda: ask(emptied, LEADER) == [(leader.runtime.id,)], "it leads")
        with watching(emptied, home, replace(BRIEF, least_free_mib=1_000_000_000)) as follower:
            alert = leader.raised(AlertKind.DISK_LOW, f"runtime/{follower.id}")
        assert not happens(lambda: leader.found(AlertKind.DISK_LOW, alert.subject) == [], within_s=2.0)


def a_call(runtime: Runtime, timeout_s: float) -> None:
    """What hosts do all the time."""
    with runtime.store.tenants(Kind.VIEW, "acme", timeout_s=timeout_s):
        pass


@contextmanager
def all_connections(runtime: Runtime) -> Iterator[None]:
    """Other calls hold every connection."""
    with ExitStack() as calls:
        for _ in range(CONNECTIONS):
            calls.enter_context(runtime.store.tenants(Kind.VIEW, "acme"))
        yield
