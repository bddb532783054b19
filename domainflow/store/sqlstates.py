"""What an error of Postgres means to a caller: its kind by SQLSTATE, in words without paths, statements or values.

No connection and no second try. The commit lanes have meanings of their own (`commit_connection`).
"""

from typing import Final

import psycopg

from domainflow.errors import Corrupt, DomainFlowError, SchemaMismatch, StoreRefused, StoreUnavailable

# By state, else by its class. Whoever tries again later may succeed.
PASSING: Final = {
    "25006": "it takes no changes, as a standby does",
    "25P03": "a transaction was left waiting for too long",
    "25P04": "a transaction took too long",
    "28": "it does not let this user in",
    "40001": "others changed the same rows at the same time",
    "40P01": "others waited for the same rows crosswise",
    "53": "it lacks resources",
    "53100": "the database's disk is full",
    "53200": "it is out of memory",
    "53300": "all its connections are taken",
    "55P03": "others held the same rows for too long",
    "57": "it is stopping or starting",
    "57014": "a statement took too long, or was cancelled",
    "58": "its system failed it",
}
DAMAGED: Final = {"XX001", "XX002"}
LACKING: Final = {"3F000", "42703", "42883", "42P01"}  # schema, column, function, table


def meaning(error: psycopg.Error, *, lost: bool, outcome: str) -> DomainFlowError:
    """Return what to raise for an error; `lost`: the connection went with it; `outcome`: what is true now."""
    state = error.sqlstate or ""
    told = f" (SQLSTATE {state})" if state else ""
    words = PASSING.get(state) or PASSING.get(state[:2])
    if lost or words or isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return StoreUnavailable(
            f"Postgres cannot be used just now: {words or 'the connection was lost'}{told}; {outcome}"
        )
    if state in DAMAGED:
        return Corrupt(f"Postgres cannot read what it stored{told}; {outcome}: run `domainflow verify`")
    if state in LACKING:
        return SchemaMismatch(
            f"the database lacks what this version needs{told}; {outcome}: see `domainflow migrate status`"
        )
    return StoreRefused(f"Postgres refused what it was asked{told}; {outcome}")
