"""`domainflow migrate …`: the schema up, down, and how it stands. The migrations themselves stand in `store`."""

from typing import Annotated, TypeAlias

from cyclopts import Parameter

from domainflow.cli.database import database
from domainflow.cli.errors import UNAVAILABLE
from domainflow.cli.options import Global
from domainflow.cli.output import Output
from domainflow.errors import InvalidInput
from domainflow.store import doctor_sql, migrate, pool
from domainflow.store.migrate import Applied, Migration

AdminDsn: TypeAlias = Annotated[
    str | None,
    Parameter(
        name="--admin-dsn",
        help="Whose user may create roles and own the schema; else DOMAINFLOW_ADMIN_DSN, else the embedded server's.",
    ),
]


def up(*, admin_dsn: AdminDsn = None, options: Global) -> int:
    """Apply what is missing."""
    with database(options, admin_dsn) as found, doctor_sql.translated():
        done = migrate.up(found.admin())
    return _say(options, "applied", done, "nothing to apply: the schema is this version's")


def down(
    *,
    to: Annotated[int, Parameter(help="Every migration above this version is undone; 0: all, with their data.")],
    admin_dsn: AdminDsn = None,
    options: Global,
) -> int:
    """Undo every migration above a version, newest first. Data that only they can hold is gone."""
    if to < 0:
        raise InvalidInput(f"--to: {to} must be 0 or more")
    with database(options, admin_dsn) as found, doctor_sql.translated():
        done = migrate.down(found.admin(), to=to)
    return _say(options, "undone", done, f"nothing to undo: the schema is not above {to}")


def status(*, admin_dsn: AdminDsn = None, options: Global) -> int:
    """Say which migrations are applied, and which are missing. Exit 3 unless the schema is this version's."""
    with database(options, admin_dsn) as found, doctor_sql.translated(), pool.plain(found.dsn) as connection:
        have = {row.version: row for row in migrate.applied(connection)}
    want = {migration.version: migration for migration in migrate.known()}
    rows = [(version, *_state(have.get(version), want.get(version))) for version in sorted({*have, *want})]
    fits = all(state == "applied" for _, _, state in rows)
    output = Output(json=options.json)
    if options.json:
        listed = [{"version": version, "name": name, "status": state} for version, name, state in rows]
        output.object({"migrations": listed, "fits": fits})
    else:
        output.rows(("#version", "name", "status"), [(str(version), name, state) for version, name, state in rows])
    return 0 if fits else UNAVAILABLE


def _state(have: Applied | None, want: Migration | None) -> tuple[str, str]:
    """The name of a migration, and how it stands."""
    if want is None:
        return (have.name if have else "", "unknown to this version")
    if have is None:
        return want.name, "missing"
    return want.name, "applied" if have.up_sha256 == want.up_sha256 else "changed after it was applied"


def _say(options: Global, what: str, done: tuple[str, ...], nothing: str) -> int:
    output = Output(json=options.json)
    if options.json:
        output.object({what: done})
        return 0
    for name in done:
        output.line(f"{what} {name}")
    if not done:
        output.line(nothing)
    return 0
