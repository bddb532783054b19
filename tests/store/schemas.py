"""What a schema is: its catalog in words, and its dump by the server's own program."""

import subprocess
from typing import Final, LiteralString

import psycopg

from domainflow.store import binaries, migrate, pool

NAMES: Final = tuple(migration.name for migration in migrate.known())
VERSIONS: Final = (0, *(migration.version for migration in migrate.known()))  # by the number of steps done

# Everything the schema consists of, in words that do not depend on ids.
CATALOG: Final[LiteralString] = """
select 'table ' || c.relname || ' ' || c.relkind::text || ' ' || c.relrowsecurity || c.relforcerowsecurity || ' '
       || coalesce(array_to_string(c.reloptions, ','), '') || ' ' || coalesce(c.relacl::text, '') || ' '
       || c.relowner::regrole
  from pg_class c where c.relnamespace = to_regnamespace('domainflow') and c.relkind <> 't'
union all
select 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull
       || a.attstorage::text || a.attidentity::text || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
       || coalesce(a.attacl::text, '')
  from pg_attribute a join pg_class c on c.oid = a.attrelid
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
 where c.relnamespace = to_regnamespace('domainflow') and a.attnum > 0 and not a.attisdropped
   and c.relkind in ('r', 'p', 'v')
union all
select 'index ' || pg_get_indexdef(i.indexrelid) from pg_index i join pg_class c on c.oid = i.indexrelid
 where c.relnamespace = to_regnamespace('domainflow')
union all
select 'constraint ' || k.conrelid::regclass || ' ' || k.conname || ' ' || pg_get_constraintdef(k.oid)
  from pg_constraint k where k.connamespace = to_regnamespace('domainflow')
union all
select 'policy ' || p.polrelid::regclass || ' ' || p.polname || ' ' || p.polroles::regrole[]::text || ' '
       || p.polcmd::text || ' ' || pg_get_expr(p.polqual, p.polrelid) || ' '
       || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '')
  from pg_policy p join pg_class c on c.oid = p.polrelid where c.relnamespace = to_regnamespace('domainflow')
union all
select 'function ' || pg_get_functiondef(f.oid) from pg_proc f where f.pronamespace = to_regnamespace('domainflow')
union all
select 'trigger ' || pg_get_triggerdef(t.oid) from pg_trigger t join pg_class c on c.oid = t.tgrelid
 where c.relnamespace = to_regnamespace('domainflow') and not t.tgisinternal
union all
select 'schema ' || n.nspname || coalesce(n.nspacl::text, '') || n.nspowner::regrole from pg_namespace n
 where n.nspname = 'domainflow'
union all
select 'view ' || c.relname || pg_get_viewdef(c.oid) from pg_class c
 where c.relnamespace = to_regnamespace('domainflow') and c.relkind = 'v'
order by 1
"""


def catalog(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as connection:
        return [row[0] for row in connection.execute(CATALOG).fetchall()]


def check(dsn: str) -> None:
    """Raise SchemaMismatch, as the application does."""
    with pool.plain(dsn) as connection:
        migrate.check(connection)


def dump(dsn: str) -> str | None:
    """Return what the pg_dump beside the server's programs says of the whole schema; None: it came with none."""
    with psycopg.connect(dsn) as connection:
        major = connection.info.server_version // 10_000
    for candidate in binaries.candidates():
        program = candidate.folder / "pg_dump"
        if program.exists() and f" {major}." in _run(str(program), "--version"):
            lines = _run(str(program), "--schema-only", "--dbname", dsn).splitlines()
            # Newer ones lock the reader's psql by a word of chance.
            return "\n".join(line for line in lines if not line.startswith(("\\restrict", "\\unrestrict")))
    return None


def _run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout  # noqa: S603 - the server's own
