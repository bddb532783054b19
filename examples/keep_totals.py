"""A table of the host's own that is always right: names by outcome, kept by a projection.

    python examples/keep_totals.py [HOME]

The rows and how far they have come are committed together, so nothing is counted twice or left out, whoever is killed
when. Give it a higher `version` after changing `count`: it is built anew beside the old one, and then takes its place.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from embed_script import SPEC

from domainflow import FeedChange, Principal, Projection, Runtime
from domainflow.actors.campaign.events import BatchesAccounted
from domainflow.lab.process import Lab

ALICE = Principal(id="alice", roles=("operator",), tenant="acme")
TABLE = """
create table if not exists public.totals (
  generation int, campaign uuid, phase text, outcome text, names bigint not null,
  primary key (generation, campaign, phase, outcome));
grant select, insert, update, delete on public.totals to domainflow_app;
"""
ADD = """
insert into public.totals as t values (%s, %s, %s, %s, %s)
on conflict (generation, campaign, phase, outcome) do update set names = t.names + excluded.names
"""
READ = "select phase, outcome, names from public.totals where generation = %s and campaign = %s order by 1, 2"


def count(connection: psycopg.Connection[Any], generation: int, changes: Sequence[FeedChange]) -> None:
    """Add what was accounted."""
    for change in changes:
        if isinstance(change.event, BatchesAccounted):
            for outcome, names in change.event.counts:
                connection.execute(ADD, (generation, change.campaign, change.event.phase, outcome, names))


def clear(connection: psycopg.Connection[Any], generation: int) -> bool:
    """Delete what was kept before it was built anew: a few rows, so all of them at once."""
    connection.execute("delete from public.totals where generation = %s", (generation,))
    return False


TOTALS = Projection(name="totals", version=1, apply=count, clear=clear)


def main() -> int:
    """Run a campaign while the totals are kept, and compare them with its own counters."""
    home = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with Runtime.open(home=home) as runtime, Lab.start(runtime.home, seed=7):
        with psycopg.connect(runtime.admin_dsn or "") as admin:
            admin.execute(TABLE)
        operations = runtime.as_principal(ALICE)
        campaign = operations.create_campaign(SPEC)
        campaign.start()
        view = campaign.wait()
        totals = operations.projector(TOTALS)
        totals.catch_up()  # a host would have a thread that does `totals.follow()`
        with totals.reading() as (connection, generation):
            rows = connection.execute(READ, (generation, campaign.id)).fetchall()
    for phase, outcome, names in rows:
        print(f"{phase:25} {outcome:20} {names:6}")
    counted = {(phase.phase, outcome): names for phase in view.phases for outcome, names in phase.counts.items()}
    same = {(phase, outcome): names for phase, outcome, names in rows} == counted
    print("as the campaign counts them" if same else "not as the campaign counts them")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
