"""Connections: pools, and single ones for commit lanes and the listener.

Whatever goes over them acts as one of our roles, so that row-level security holds even under a superuser's DSN. A
single connection takes its role on for its whole life; over a pool's, each transaction takes on its own, for itself
alone: behind a pooler the next one may have another session.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, LiteralString, Self

import psycopg
from msgspec import Struct
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from domainflow.errors import StoreUnavailable

ROLES: Final[dict[str, LiteralString]] = {
    "app": "set role domainflow_app",
    "upkeep": "set role domainflow_upkeep",
}
# A half-open connection must not hang a thread for the two hours of TCP's default.
KEEPALIVES: Final = (
    "connect_timeout=10 keepalives_idle=10 keepalives_interval=5 keepalives_count=3 tcp_user_timeout=30000"
)
CONNECTION_S: Final = 30.0  # how long a call waits for a connection that has no time-out of its own, and at most
AGAIN_S: Final = 0.2
UNPREPARED: Final[dict[str, object]] = {"prepare_threshold": None}


def lively(dsn: str) -> str:
    """Return `dsn` with time-outs; its own values win."""
    return make_conninfo(KEEPALIVES, **conninfo_to_dict(dsn))


def connect(dsn: str, role: str) -> Connection[TupleRow]:
    """Return a connection in autocommit that acts as `role` (a key of ROLES).

    Raises StoreUnavailable: no connection, or its user may not act as that role; says what to grant.
    """
    try:
        connection = psycopg.connect(lively(dsn), autocommit=True, application_name=f"domainflow {role}")
    except psycopg.Error as error:
        raise StoreUnavailable(_advice(error)) from error
    try:
        take_role(connection, role)
    except psycopg.Error as error:
        connection.close()
        raise StoreUnavailable(_advice(error)) from error
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def plain(dsn: str) -> Iterator[Connection[TupleRow]]:
    """Open a connection with no role taken on, for a look at the schema. Raises StoreUnavailable."""
    try:
        connection = psycopg.connect(lively(dsn), autocommit=True, application_name="domainflow")
    except psycopg.Error as error:
        raise StoreUnavailable(_advice(error)) from error
    with connection:
        yield connection


def _advice(error: psycopg.Error) -> str:
    # Of a DSN that cannot be read libpq shows a piece, which may be the password.
    why = "the DSN cannot be read" if isinstance(error, psycopg.ProgrammingError) else str(error).strip()
    return f"cannot connect to Postgres: {why}; check DOMAINFLOW_DSN, or unset it for the embedded server"


def take_role(connection: Connection[TupleRow], role: str) -> None:
    """Make `connection` act as `role` for its whole life."""
    try:
        connection.execute(ROLES[role])
    except psycopg.errors.UndefinedObject as error:
        raise StoreUnavailable(
            f"the role domainflow_{role} does not exist: run `domainflow migrate up` with an admin DSN"
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        user = connection.info.user
        raise StoreUnavailable(
            f"user {user} may not act as domainflow_{role}: grant domainflow_{role} to {user}"
        ) from error
    except psycopg.errors.InvalidParameterValue as error:
        raise StoreUnavailable(
            f"the role domainflow_{role} does not exist: run `domainflow migrate up` with an admin DSN"
        ) from error


def check_roles(dsn: str) -> None:
    """Raise StoreUnavailable, saying what is wrong, unless there is a connection and it may act as all our roles."""
    first, *others = ROLES
    with connect(dsn, first) as connection:
        for role in others:
            take_role(connection, role)


def open_pool(
    dsn: Callable[[], str], purpose: str, *, size: int, pooled: bool = False
) -> ConnectionPool[Connection[TupleRow]]:
    """Return an open pool of at most `size` connections without a role; see `lend`.

    `pooled`: `dsn` leads to a pooler, whose sessions change with each transaction: nothing is prepared in one.
    """
    pool: ConnectionPool[Connection[TupleRow]] = ConnectionPool(
        min_size=1,
        max_size=size,
        timeout=CONNECTION_S,
        max_waiting=1000,
        kwargs={"autocommit": True, "application_name": f"domainflow {purpose}"} | (UNPREPARED if pooled else {}),
        connection_class=_tenacious(dsn, given_up=lambda: pool.closed),
        name=f"domainflow-{purpose}",
        open=False,
    )
    pool.open()
    return pool


class PoolState(Struct, frozen=True):
    """How a pool is."""

    purpose: str
    size: int  # connections that it has
    free: int
    waiting: int  # callers
    refused: int  # callers so far that were not given any, in time or at all


def state(pool: ConnectionPool[Connection[TupleRow]]) -> PoolState:
    """Return how a pool is just now."""
    told = pool.get_stats()
    return PoolState(
        pool.name.removeprefix("domainflow-"),
        told["pool_size"],
        told["pool_available"],
        told["requests_waiting"],
        told.get("requests_errors", 0),  # not there before the first one
    )


@contextmanager
def lend(pool: ConnectionPool[Connection[TupleRow]], timeout_s: float) -> Iterator[Connection[TupleRow]]:
    """Lend a connection whose server answers, as soon as there is one. Raises what a pool's `getconn` does.

    A pool that checks by itself sleeps after each dead one, twice as long each time, and misses a server that comes
    and goes. Here a dead one is given back, for the pool to replace, and the next is taken at once.
    """
    connection = _answering(pool, time.monotonic() + timeout_s)
    try:
        yield connection
    finally:
        pool.putconn(connection)


def _answering(pool: ConnectionPool[Connection[TupleRow]], deadline_s: float) -> Connection[TupleRow]:
    while True:
        connection = pool.getconn(deadline_s - time.monotonic())
        try:
            pool.check_connection(connection)
        except psycopg.Error:
            connection.close()
            pool.putconn(connection)
        except BaseException:
            pool.putconn(connection)
            raise
        else:
            return connection


def _tenacious(dsn: Callable[[], str], *, given_up: Callable[[], bool]) -> type[Connection[TupleRow]]:
    """Connections that are tried for until there is one or nobody wants one, each time where the server is by then.

    A pool alone waits for twice as long after each try in vain: a server that is back would not be noticed for as long
    as it had been gone.
    """

    class Tenacious(Connection[TupleRow]):
        @classmethod
        def connect(cls, _conninfo: str = "", **kwargs: object) -> Self:  # type: ignore[override]  # as a pool calls it
            while True:
                try:
                    return super().connect(lively(dsn()), **kwargs)  # type: ignore[arg-type]  # they are a pool's
                except psycopg.OperationalError:
                    if given_up():
                        raise
                    time.sleep(AGAIN_S)

    return Tenacious
