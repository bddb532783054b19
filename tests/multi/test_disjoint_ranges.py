"""Two processes that create campaigns on one pattern at the same time never get the same names."""

from pathlib import Path
from typing import Final, LiteralString

import psycopg
from child import Child

from domainflow import Runtime
from domainflow.verify import verify

from members import NAMES_EACH, Database  # isort: skip  # beside this file

EACH: Final = 10
RANGES: Final[LiteralString] = "select id::text, base, count, source_stream from domainflow.campaign order by base"


def test_two_processes_that_create_ten_campaigns_each_on_one_pattern_share_no_name(
    database: Database, home: Path
) -> None:
    with (
        Child("multi.members:creator", dsn=database.dsn, home=str(home), campaigns=EACH) as one,
        Child("multi.members:creator", dsn=database.dsn, home=str(home), campaigns=EACH) as other,
    ):
        for child in (one, other):
            child.wait_line("ready")
        for child in (one, other):
            child.tell("go")
        created = {child.wait_line("created") for child in (one, other) for _ in range(EACH)}
        for child in (one, other):
            child.finish()

    with psycopg.connect(database.admin_dsn) as connection:
        rows = connection.execute(RANGES).fetchall()
    assert {id_ for id_, *_ in rows} == created
    assert len(created) == 2 * EACH
    assert len({stream for *_, stream in rows}) == 1
    assert [(base, count) for _, base, count, _ in rows] == [(n * NAMES_EACH, NAMES_EACH) for n in range(2 * EACH)]
    with Runtime.open(database.dsn, home=home, campaigns=False, work=False) as runtime:
        assert [fault.line for fault in verify(runtime.store)] == []
