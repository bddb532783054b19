"""Sources: stored whole, compressed before their transaction, and read a chunk a transaction."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import Database
from stage import nothing_to_revive

from domainflow.errors import NotFound
from domainflow.store import open_transactions, sources
from domainflow.store.postgres import Postgres
from domainflow.store.sources import StoredSource
from domainflow.store.transaction import Kind

PIECES = [b"a.com\n" * 1000, b"b.com\n" * 1000, b"c.com\n"]
BYTES = b"".join(PIECES)
SOURCE = StoredSource(sha256=hashlib.sha256(BYTES).hexdigest(), kind="names", size_bytes=len(BYTES), lines=2001)


@pytest.fixture
def store(database: Database) -> Iterator[Postgres]:
    opened = Postgres(lambda: database.dsn, revive=nothing_to_revive, connections=1)
    yield opened
    opened.close()


def put(store: Postgres, pieces: Iterator[bytes]) -> None:
    with sources.packed(pieces) as chunks, store.tenants(Kind.SOURCE, "acme") as connection:
        sources.put(connection, "acme", SOURCE, chunks)


def test_a_source_is_compressed_before_its_transaction_begins_and_comes_back_as_it_was(
    store: Postgres, home: Path
) -> None:
    open_meanwhile = []

    def pieces() -> Iterator[bytes]:
        for piece in PIECES:
            open_meanwhile.append(open_transactions.all_open())
            yield piece

    put(store, pieces())
    assert open_meanwhile == [(), (), ()]
    file = store.source_file("acme", SOURCE.sha256, home / "sources")
    assert file.read_bytes() == BYTES


def test_a_file_of_the_cache_is_on_the_disk_before_it_has_its_name(
    store: Postgres, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, iter(PIECES))
    folder, fsync, synced = home / "sources", os.fsync, list[tuple[int, bool]]()

    def syncing(descriptor: int) -> None:
        named = (folder / f"acme-{SOURCE.sha256}").exists()
        synced.append((os.fstat(descriptor).st_size, named))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", syncing)
    store.source_file("acme", SOURCE.sha256, folder)
    assert synced == [(len(BYTES), False)]


def test_a_source_that_is_stored_is_known_to_be_and_stays_as_it_is(store: Postgres, home: Path) -> None:
    def is_stored() -> bool:
        with store.tenants(Kind.VIEW, "acme") as connection:
            return sources.is_stored(connection, "acme", SOURCE.sha256)

    assert not is_stored()
    put(store, iter(PIECES))
    assert is_stored()
    put(store, iter([b"others"]))
    assert store.source_file("acme", SOURCE.sha256, home / "sources").read_bytes() == BYTES


def test_a_source_is_its_tenants(store: Postgres, home: Path) -> None:
    put(store, iter(PIECES))
    with pytest.raises(NotFound, match="in tenant umbrella"):
        store.source_file("umbrella", SOURCE.sha256, home / "sources")
