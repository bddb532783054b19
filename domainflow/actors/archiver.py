"""Moves the events before a seal into a file: proves them, writes them, records the file, and only then deletes them.

Whoever is killed at any point leaves what the next one completes: a seal without a record, or a record of events that
are still there. For threads that may wait.
"""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import structlog

from domainflow.actors.campaign.actor import RULES, campaign_of
from domainflow.actors.campaign.history import StreamSealed
from domainflow.errors import Corrupt
from domainflow.store import archive_files, archives
from domainflow.store.archives import Archive, Due
from domainflow.store.chain import GENESIS, follows
from domainflow.store.port import Recorded
from domainflow.store.postgres import Postgres
from domainflow.store.transaction import Kind

PAGE: Final = 500  # events a transaction

_log = structlog.get_logger()


class Archiver:
    """Archives streams of campaigns into one folder."""

    def __init__(self, store: Postgres, folder: Path) -> None:
        """`folder`: on this host; made when it is needed."""
        self._store = store
        self.folder = folder

    def is_sealed(self, due: Due) -> bool:
        """Whether it is sealed by a program that folds as this one does: no other one can prove the seal."""
        return due.sealed and self._seal(due).fold_version == RULES.fold_version

    def archive(self, due: Due) -> Archive:
        """Have a sealed stream's events in a file instead of the database; return where they are.

        Raises Corrupt: they do not prove the seal, and stay; OSError: so does what cannot be written; StoreUnavailable.
        """
        seal = self._seal(due)
        file = file_of(self.folder, due.tenant, due.stream, due.version)
        digest = archive_files.write(file, self._proven(due, seal))
        mine = Archive(due.stream, due.tenant, due.version, socket.gethostname(), str(file), digest)
        with self._store.upkeep(Kind.UPKEEP) as connection:
            recorded = archives.record(connection, mine)
        if recorded is None:
            raise _unproven(due, "its seal is gone")
        if (recorded.host, recorded.file) != (mine.host, mine.file):
            file.unlink(missing_ok=True)  # another one was faster
        _log.info("events_archived", stream=due.stream, version=due.version, file=recorded.file)
        self.clear(due.stream)
        return recorded

    def clear_left(self) -> None:
        """Delete what somebody archived, and was killed before he had deleted all of it."""
        while (stream := self._left()) is not None:
            self.clear(stream)

    def clear(self, stream: str) -> None:
        """Delete what is left of a stream's archived events, a slice after the other."""
        while self._delete_slice(stream):
            pass

    def _left(self) -> str | None:
        with self._store.upkeep(Kind.SWEEP) as connection:
            return archives.left(connection)

    def _delete_slice(self, stream: str) -> int:
        with self._store.upkeep(Kind.UPKEEP) as connection:
            return archives.delete_slice(connection, stream)

    def _seal(self, due: Due) -> StreamSealed:
        recorded = self._store.events(due.stream, after=due.version - 1, limit=1)
        seal = RULES.decode_event(recorded[0]) if recorded else None
        if not isinstance(seal, StreamSealed):
            raise _unproven(due, "it is no seal")
        return seal

    def _proven(self, due: Due, seal: StreamSealed) -> Iterator[Recorded]:
        """Yield what is before the seal; raise Corrupt unless the chain holds up to it, and its state is their fold."""
        state, before = RULES.initial, (0, GENESIS)
        for recorded in self._events(due):
            if not follows(recorded, *before):
                raise _unproven(due, f"the chain does not hold at version {recorded.version}")
            before = (recorded.version, recorded.hash)
            if recorded.version < due.version:
                state = RULES.evolve(state, RULES.decode_event(recorded))
                yield recorded
        if before[0] != due.version or seal.state != state:
            raise _unproven(due, "its state is not the fold of what is before it")

    def _events(self, due: Due) -> Iterator[Recorded]:
        after = 0
        while page := self._store.events(due.stream, after=after, limit=min(PAGE, due.version - after)):
            yield from page
            after = page[-1].version


def file_of(folder: Path, tenant: str, stream: str, version: int) -> Path:
    """Return where in a folder of archives a stream's file is."""
    return folder / tenant / f"{campaign_of(stream)}-{version}.jsonl.gz"


def _unproven(due: Due, why: str) -> Corrupt:
    return Corrupt(f"version {due.version} of {due.stream} cannot be archived up to: {why}; nothing was deleted")
