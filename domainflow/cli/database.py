"""The database without a runtime: for verbs that must work where none can be opened. Reads and writes nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct

from domainflow.cli.options import Options
from domainflow.cli.session import environment, home_of
from domainflow.errors import InvalidInput
from domainflow.runtime import ADMIN_DSN, DSN
from domainflow.store.embedded import EmbeddedServer


class Database(Struct, frozen=True, kw_only=True):
    """How to reach it."""

    dsn: str
    admin_dsn: str | None
    kind: str  # "external", or which embedded one

    def admin(self) -> str:
        """Who may change the schema. Raises InvalidInput where nobody said."""
        if self.admin_dsn is None:
            raise InvalidInput(
                f"{ADMIN_DSN}: is needed to change the schema of a database of your own; set it, or give --admin-dsn"
            )
        return self.admin_dsn


@contextmanager
def database(options: Options, admin_dsn: str | None = None) -> Iterator[Database]:
    """Find the database as `Runtime.open` does; an embedded server runs while the context lasts.

    Raises StoreUnavailable when the embedded server cannot be started.
    """
    variables = environment()
    dsn = options.dsn or variables.get(DSN)
    admin_dsn = admin_dsn or variables.get(ADMIN_DSN)
    if dsn is not None or admin_dsn is not None:
        yield Database(dsn=dsn or admin_dsn or "", admin_dsn=admin_dsn, kind="external")
        return
    with EmbeddedServer(home_of(options)) as server:
        yield Database(dsn=server.dsn("domainflow"), admin_dsn=server.dsn("domainflow"), kind=server.kind)
