"""The documents say what is: their tables are compared with the types, their SQL is run, the tests they name exist."""

import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import psycopg
import pytest
from databases import Database
from msgspec import NODEFAULT, Struct, inspect

import domainflow
from domainflow import Runtime, load_spec
from domainflow.actors.campaign import actor as campaign
from domainflow.actors.monitor import alerts
from domainflow.actors.pattern import actor as pattern
from domainflow.actors.rules import Strategy
from domainflow.settings import Settings
from domainflow.spec import (
    INT64_MAX,
    CampaignSpec,
    DnsPersona,
    HttpPersona,
    KeywordRule,
    NamesSource,
    PatternSource,
    ScoringProfile,
    WordsSource,
)
from domainflow.store import migrate
from domainflow.store.embedded import EmbeddedServer

ROOT: Final = Path(__file__).parent.parent
DOCS: Final = ROOT / "docs"
TABLES: Final = {
    "The campaign": CampaignSpec,
    "Source: a pattern": PatternSource,
    "Source: words": WordsSource,
    "Source: names": NamesSource,
    "dns": DnsPersona,
    "http": HttpPersona,
    "keyword_rules": KeywordRule,
    "scoring": ScoringProfile,
}
NAMED_TEST: Final = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def section(document: str, heading: str) -> str:
    """The text below a heading, up to the next one."""
    text = (DOCS / document).read_text()
    found = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"docs/{document} has no heading {heading}"
    return found[1]


def table(text: str) -> list[list[str]]:
    """The rows of a text's first table, without its head."""
    rows = [line.strip().strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


# --- how a type reads


def limits(low: float | None, high: float | None) -> str:
    match low, high:
        case None, None:
            return ""
        case _, None:
            return f"{low:g} or more"
        case None, _:
            return f"at most {high:g}"
        case _:
            top = "2^63 - 1" if high == INT64_MAX else f"{high:.15g}"
            return f"{low:.15g} to {top}"


def range_of(type_: inspect.Type) -> str:
    """What a value may be, in the words of the tables."""
    match type_:
        case inspect.IntType(ge=low, le=high) | inspect.FloatType(ge=low, le=high):
            return limits(low, high)
        case inspect.StrType(min_length=low, max_length=high):
            return f"{limits(low, high)} characters" if high else "text"
        case inspect.BoolType():
            return "`true`, `false`"
        case inspect.EnumType(cls=cls):
            return ", ".join(f"`{member.value}`" for member in cls)
        case inspect.VarTupleType(item_type=item, min_length=low, max_length=high):
            number = limits(low, high)
            return f"list of {number}: {range_of(item)}" if number else f"list: {range_of(item)}"
        case inspect.TupleType(item_types=items):
            return f"[{', '.join(map(range_of, items))}]"
        case inspect.DictType(value_type=value):
            return f"table of {range_of(value)}"
        case inspect.LiteralType(values=values):
            return ", ".join(f"`{value}`" for value in values)
        case inspect.UnionType(types=types) if all(isinstance(one, inspect.StructType) for one in types):
            return "a table, by its `kind`"
        case inspect.UnionType(types=types):
            return " or ".join(sorted(map(range_of, types)))
        case inspect.StructType():
            return "a table"
        case _:
            raise AssertionError(f"no words for {type_}")


def default_of(field: inspect.Field) -> str:
    """What holds where a key is left out."""
    value = field.default if field.default is not NODEFAULT else None
    if field.default_factory is not NODEFAULT:
        value = field.default_factory()
    if field.required:
        return "required"
    return "its own" if isinstance(value, Struct) else f"`{toml(msgspec.to_builtins(value))}`"


def toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case float():
            return f"{value:g}"
        case list() | tuple():
            return f"[{', '.join(map(toml, value))}]"
        case _:
            return str(value)


def expected(struct: type[Struct]) -> list[tuple[str, str, str]]:
    """(key, range, default) of every field, in order; after the tag, if it has one."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    tag = [(f"`{info.tag_field}`", f'`"{info.tag}"`', "required")] if info.tag_field else []
    return tag + [(f"`{field.encode_name}`", range_of(field.type), default_of(field)) for field in info.fields]


# --- the tables


@pytest.mark.parametrize("heading", TABLES)
def test_the_table_of_a_part_of_the_spec_has_every_key_with_its_range_and_default(heading: str) -> None:
    rows = [(key, range_, default) for key, _, range_, default in table(section("spec.md", heading))]
    assert rows == expected(TABLES[heading])


def test_the_table_of_settings_has_every_setting_with_its_variable_range_and_default() -> None:
    rows = [(key, range_, default) for key, _, range_, default in table(section("configuration.md", "Settings"))]
    assert rows == expected(Settings)


def test_every_variable_that_the_code_reads_is_explained() -> None:
    read = {
        name
        for file in (ROOT / "domainflow").rglob("*.py")
        for name in re.findall(r'"(DOMAINFLOW_[A-Z_]+[A-Z])"', file.read_text())
    }
    explained = set(re.findall(r"`(DOMAINFLOW_[A-Z_]+)`", section("configuration.md", "Environment variables")))
    assert read
    assert read <= explained


def test_the_public_surface_is_what_the_architecture_lists_and_each_name_of_it_is_there() -> None:
    paragraph = section("architecture.md", "Public surface").partition("Besides")[0]
    assert set(re.findall(r"`([A-Za-z_]+)`", paragraph)) - {"domainflow"} == set(domainflow.__all__)
    assert all(getattr(domainflow, name) for name in domainflow.__all__)


def test_the_tree_of_the_architecture_is_the_tree_of_a_runtime(database: Database, home: Path) -> None:
    drawn = re.findall(r"── ([a-z_0-9, -]+?)(?:  |$)", section("architecture.md", "The tree"), re.MULTILINE)
    with Runtime.open(database.dsn, admin_dsn=database.admin_dsn, home=home) as runtime:
        live = [path.rpartition("/")[2] for path, _, _ in runtime.tree()]
    assert [name for names in drawn for name in names.split(", ")] == [
        name for name in live if name not in {"", "root"}
    ]


# --- what they claim


def named_tests() -> Iterator[tuple[str, str, str]]:
    for document in sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")]):
        for file, name in NAMED_TEST.findall(document.read_text()):
            yield document.name, file, name


def test_every_test_that_a_document_names_exists() -> None:
    missing = [
        (document, file, name)
        for document, file, name in named_tests()
        if not (ROOT / file).is_file() or f"def {name}(" not in (ROOT / file).read_text()
    ]
    assert list(named_tests())
    assert not missing


def test_every_promise_names_a_test_or_says_that_there_is_none_yet() -> None:
    promises = re.findall(
        r"^## (\d+)\. .*?$(.*?)(?=^## |\Z)", (DOCS / "semantics.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert [int(number) for number, _ in promises] == list(range(1, 11))
    assert all(NAMED_TEST.search(promise) or "**Not yet:**" in promise for _, promise in promises)


def test_the_administrator_s_sql_makes_a_database_that_a_runtime_opens(home: Path) -> None:
    """Run as the doc has it, on a server that knows none of our roles."""
    blocks = re.findall(r"```sql\n(.*?)```", section("configuration.md", "A database of your own"), re.DOTALL)
    before, after = ([line for line in block.split(";") if line.strip()] for block in blocks)
    with EmbeddedServer(home) as server:
        with psycopg.connect(server.dsn("domainflow", "postgres"), autocommit=True) as superuser:
            for statement in before:
                superuser.execute(statement)  # type: ignore[arg-type]  # our own document
        admin_dsn = f"{server.dsn('domainflow', 'domainflow_prod')} options='-c role=domainflow_admin'"
        assert migrate.up(admin_dsn)
        with psycopg.connect(admin_dsn, autocommit=True) as admin:
            for statement in after:
                admin.execute(statement)  # type: ignore[arg-type]  # likewise
        as_host = f"{server.dsn('domainflow', 'domainflow_prod')} options='-c role=my_host'"
        with psycopg.connect(as_host) as connection:
            acts_as = connection.execute(
                "select pg_has_role('my_host', role, 'member')"
                "  from unnest(array['domainflow_app', 'domainflow_upkeep']) role"
            ).fetchall()
        assert acts_as == [(True,), (True,)]
        with Runtime.open(server.dsn("domainflow_app", "domainflow_prod"), home=home) as runtime:
            assert runtime.kind == "external"


def test_the_spec_of_the_document_is_one(tmp_path: Path) -> None:
    (toml_text,) = re.findall(r"```toml\n(.*?)```", (DOCS / "spec.md").read_text(), re.DOTALL)
    (tmp_path / "spec.toml").write_text(toml_text)
    assert load_spec(tmp_path / "spec.toml").name == "first look"


def test_the_code_of_the_readme_runs(home: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (toml_text,) = re.findall(r"```toml\n(.*?)```", (DOCS / "spec.md").read_text(), re.DOTALL)
    offline = 'skip = ["dns_validation", "http_keyword_validation", "analysis"]\n'
    (home / "campaign.toml").write_text(offline + toml_text)
    ended = subprocess.run(  # noqa: S603 - our own interpreter and document
        [sys.executable, "-W", "error", "-c", code],
        cwd=home,
        env={**os.environ, "DOMAINFLOW_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[0] == "1 campaign.created"
    assert ended.stdout.splitlines()[-1] == "completed"


def test_a_number_reads_as_it_is_written() -> None:
    assert limits(0.05, 600.0) == "0.05 to 600"
    assert limits(1, 1_000_000) == "1 to 1000000"
    assert math.isfinite(float(toml(0.27)))


def test_the_strategies_of_conflicts_are_those_of_the_code() -> None:
    rows = table(section("semantics.md", "2. One writer a stream"))
    told = [(command.strip("`"), strategy) for _, command, strategy, _ in rows]
    shared = [rules for rules in (campaign.RULES, pattern.RULES, alerts.RULES) if not rules.owned]
    commands = [(words.cls, rules.strategies) for rules in shared for words in structs(rules.commands)]
    assert told == [(of.__struct_config__.tag, strategies.get(of, Strategy.REBASE)) for of, strategies in commands]


def structs(union: object) -> list[inspect.StructType]:
    """The types of a union of messages."""
    found = inspect.type_info(union)
    return [each for each in getattr(found, "types", [found]) if isinstance(each, inspect.StructType)]
