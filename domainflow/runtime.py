"""The composition root: finds or starts Postgres, migrates it, plants the supervision tree, and takes it down again.

Wiring only: no rule of the domain is decided here.
"""

import os
import time
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID

import structlog

from domainflow.actors.monitor.verifying import Verifying
from domainflow.actors.system import STOP_S
from domainflow.engines.process import WorkerProcess, dismiss, start_early
from domainflow.errors import StoreUnavailable
from domainflow.ids import new_id
from domainflow.meters import METERS, Count, Timing
from domainflow.operations import Operations
from domainflow.security.context import Principal
from domainflow.security.input import check_identifier
from domainflow.settings import Settings, dotenv, from_environment
from domainflow.store import doctor_sql, migrate, pool
from domainflow.store.embedded import EmbeddedServer, default_home
from domainflow.store.postgres import Postgres
from domainflow.store.presence import Presence
from domainflow.tree import Parts
from domainflow.verify import check_next, check_stream

DSN = "DOMAINFLOW_DSN"
ADMIN_DSN = "DOMAINFLOW_ADMIN_DSN"
POOLED_DSN = "DOMAINFLOW_POOLED_DSN"
GOOD_BYE_S = 1.0  # for a word to Postgres at the end, however little time is left

_log = structlog.get_logger()


class Runtime:
    """A running DomainFlow inside this process. Safe to use from several threads; `close` it, or use it in `with`."""

    def __init__(self, parts: Parts, *, server: EmbeddedServer | None, admin_dsn: str | None) -> None:
        """Use `Runtime.open`."""
        self._parts = parts
        self._server = server
        self.admin_dsn = admin_dsn
        self._closed = False

    @classmethod
    def open(  # noqa: PLR0913 - each is a choice of the host's
        cls,
        dsn: str | None = None,
        *,
        admin_dsn: str | None = None,
        home: Path | None = None,
        settings: Settings | None = None,
        campaigns: bool = True,
        work: bool = True,
    ) -> Self:
        """Open a runtime; returns when its actors have started.

        Args:
            dsn: of Postgres 15 or later. None: DOMAINFLOW_DSN, from the environment or `.env`; else embedded. Beside
                it DOMAINFLOW_POOLED_DSN may lead to the same database through a pooler.
            admin_dsn: migrates the schema on open. None: DOMAINFLOW_ADMIN_DSN; the embedded server has its own.
                Without one the schema must be there and of this version.
            home: the folder for server, lab and caches. None: DOMAINFLOW_HOME, else the user's data folder.
            settings: None: the defaults. DOMAINFLOW_<NAME> variables win over either.
            campaigns: whether this runtime executes campaigns that nobody else does.
            work: whether it has worker processes.

        Raises:
            StoreUnavailable: no Postgres; says what was tried and what to do.
            SchemaMismatch: another schema; says what to run.
            InvalidInput: a setting out of range.
        """
        env = {**dotenv(Path.cwd()), **os.environ}
        settings = from_environment(settings, env)
        folder = Path(home or env.get("DOMAINFLOW_HOME") or default_home()).absolute()
        dsn, admin_dsn = dsn or env.get(DSN), admin_dsn or env.get(ADMIN_DSN)
        server = None
        early = start_early(settings.workers) if work else []  # they import while Postgres is looked for
        try:
            if dsn is None:
                server = EmbeddedServer(folder)
                server.ensure()
                dsn, admin_dsn = server.dsn("domainflow_app"), server.dsn("domainflow")
            dsns = (dsn, admin_dsn, env.get(POOLED_DSN) if server is None else None)
            return cls._start(dsns, folder, settings, (campaigns, work), early, server)
        except BaseException:
            dismiss(early)
            if server is not None:
                server.close()
            raise

    @classmethod
    def _start(  # noqa: PLR0913, PLR0917 - the second half of open
        cls,
        dsns: tuple[str, str | None, str | None],
        home: Path,
        settings: Settings,
        roles: tuple[bool, bool],
        early: list[WorkerProcess],
        server: EmbeddedServer | None,
    ) -> Self:
        dsn, admin_dsn, pooled_dsn = dsns
        _prepare_schema(dsn, admin_dsn)
        store = Postgres(
            (lambda: server.dsn("domainflow_app")) if server else (lambda: dsn),
            revive=server.revive if server else _nothing_to_revive,
            pooled_dsn=pooled_dsn,
        )
        runtime = str(UUID(new_id()))
        parts = Parts(
            runtime=runtime,
            home=home,
            settings=settings,
            store=store,
            presence=Presence(store.connect_listener, runtime, lease_s=settings.lease_s),
            verifying=Verifying(partial(check_next, store), partial(check_stream, store)),
            campaigns=roles[0],
            work=roles[1],
            early=early,
        )
        opened = cls(parts, server=server, admin_dsn=admin_dsn)
        try:
            parts.system.start(parts.children(), on_root_failed=opened._root_failed)
        except BaseException:
            opened.close(5.0)
            raise
        return opened

    # --- what it is

    @property
    def id(self) -> str:
        """The uuid of this incarnation."""
        return self._parts.runtime

    @property
    def home(self) -> Path:
        """The folder of server, lab and caches."""
        return self._parts.home

    @property
    def kind(self) -> str:
        """Where Postgres is: "external", or which embedded one."""
        return self._server.kind if self._server else "external"

    @property
    def store(self) -> Postgres:
        """Its connections; for tools, not for changing anything."""
        return self._parts.store

    def tree(self) -> list[tuple[str, str, int]]:
        """Return (path, status, messages waiting) of every actor, parents first."""
        return [(ref.path, str(ref.status), ref.waiting()) for ref in self._parts.directory.tree()]

    def metrics(self) -> tuple[Count | Timing, ...]:
        """Return what was counted and timed in this process since it began, by name and labels."""
        return METERS.snapshot()

    # --- what it does

    def as_principal(self, principal: Principal) -> Operations:
        """Return everything that can be asked for, in somebody's name. Raises InvalidInput: not a name."""
        check_identifier(principal.id, "principal id")
        check_identifier(principal.tenant, "tenant")
        return Operations(self._parts, principal)

    def close(self, timeout_s: float = STOP_S) -> None:
        """Stop the actors and leave. Campaigns stay as they are, for the next owner; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        deadline_s = time.monotonic() + timeout_s
        try:
            for stuck in self._parts.system.stop(timeout_s):
                _log.error("actor_left_behind", actor=stuck.path, stack=stuck.stack)
            self._leave(max(deadline_s - time.monotonic(), GOOD_BYE_S))
        finally:  # also when somebody is tired of waiting: a hold on the server would outlive this
            dismiss(self._parts.early)
            self._parts.readers.shutdown(wait=False)
            self._parts.store.close()
            if self._server is not None:
                self._server.close()

    def __enter__(self) -> Self:
        """Nothing more is needed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _leave(self, timeout_s: float) -> None:
        """Give back what is held at once, rather than when the lease has run out."""
        try:
            self.store.give_back(self.id, but=[], timeout_s=timeout_s)
            self._parts.presence.leave()
        except StoreUnavailable as error:
            _log.warning("left_without_a_word", error=str(error)[:200])

    def _root_failed(self, error: BaseException) -> None:
        _log.critical("runtime_failed", error=type(error).__name__)


def _nothing_to_revive() -> None:
    """Somebody else's server is somebody else's to start."""


def _prepare_schema(dsn: str, admin_dsn: str | None) -> None:
    with doctor_sql.translated():
        if admin_dsn is not None:
            migrate.up(admin_dsn)
            return
        with pool.plain(dsn) as connection:
            migrate.check(connection)
