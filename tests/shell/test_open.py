"""A runtime that cannot be opened says so in words of this package, and leaves nothing behind."""

from pathlib import Path

import pytest
from databases import Database

from domainflow import Runtime
from domainflow.errors import StoreUnavailable


def test_who_may_not_migrate_is_told_so(database: Database, home: Path) -> None:
    with pytest.raises(StoreUnavailable, match="Postgres refused: permission denied"):
        Runtime.open(database.dsn, admin_dsn=database.dsn, home=home, campaigns=False, work=False)
