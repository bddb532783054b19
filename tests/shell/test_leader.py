"""The leader: what is too old or deleted goes, a slice after the other, by one runtime at a time."""

from collections.abc import Iterator
from functools import partial
from typing import Final

import psycopg
import pytest
from child import eventually
from databases import Database
from durable import SOON_S, Actor, acting, await_gone, emptied, migrated, new_uuid
from shell_stage import actor, house
from stage import Stage, context, stage

from domainflow.actors.children import ChildSpec
from domainflow.actors.dynamic import StartChild
from domainflow.actors.leader import Leader
from domainflow.security.context import system
from domainflow.store.commands import PRUNED_AT_ONCE

__all__ = ["actor", "emptied", "house", "migrated"]  # fixtures

OLD_KEYS: Final = """
insert into domainflow.idempotency (tenant, principal, key, command_hash, answer, created_at)
select 'acme', 'alice', n::text, '', '', now() - interval '25 hours' from generate_series(1, %s) n
"""
OLD_COMMAND: Final = """
insert into domainflow.command (id, stream, tenant, body, context, deadline, created_at)
values (%s, 's1', 'acme', '', '', now(), now() - interval '25 hours')
"""
LONG_DEAD: Final = """
insert into domainflow.runtime (id, host, pid, lock_key, lease_until) values (%s, '', 1, 1, now() - interval '2 hours')
"""
# In the first chore the term ends; each command that is deleted leaves the term in which it was.
ENDING: Final = """
create table public.pruned (term bigint);
grant insert on public.pruned to public;
create function public.end_term() returns trigger language plpgsql as $$
begin
  update domainflow.leader set until = clock_timestamp() - interval '1 second';
  return null;
end $$;
create function public.note_term() returns trigger language plpgsql as $$
begin
  insert into public.pruned select term from domainflow.leader;
  return null;
end $$;
create trigger ends after delete on domainflow.runtime for each row execute function public.end_term();
create trigger notes after delete on domainflow.command for each row execute function public.note_term();
"""
REFUSING: Final = """
create function public.refuse() returns trigger language plpgsql as $$ begin raise exception 'not this one'; end $$;
create trigger refuses before delete on domainflow.runtime for each row execute function public.refuse();
"""


@pytest.fixture
def other(emptied: Database) -> Iterator[Stage]:
    with acting(emptied.dsn, lane=9) as acts, stage(acts) as made:
        yield made


def plant(actor: Actor, *, keys: int = 0, commands: int = 0) -> None:
    actor.app.execute("select set_config('domainflow.tenants', 'acme', false)")
    actor.app.execute(OLD_KEYS, (keys,))
    for _ in range(commands):
        actor.app.execute(OLD_COMMAND, (new_uuid(),))


def lead(house: Stage) -> None:
    made = partial(Leader, house.store, runtime=house.actor.runtime)
    spec = ChildSpec(name="leader", factory=made, dispatcher="pinned")
    house.find("actors").ask(StartChild(spec), context(system("")), timeout_s=SOON_S)


def holder(actor: Actor) -> list[str]:
    return actor.see("select holder::text from domainflow.leader")


def test_what_is_too_old_goes_without_a_pause_however_many_slices_it_is(house: Stage, actor: Actor) -> None:
    plant(actor, keys=2 * PRUNED_AT_ONCE + 1, commands=1)
    actor.upkeep.execute(LONG_DEAD, (new_uuid(),))
    lead(house)
    eventually(lambda: actor.see("select count(*) from domainflow.idempotency") == [0], "the last slice is gone")
    assert actor.see("select count(*) from domainflow.command") == [0]
    assert actor.see("select id::text from domainflow.runtime") == [actor.runtime]


def test_a_leader_whose_session_is_gone_is_followed_while_its_time_is_far_from_over(
    house: Stage, actor: Actor, other: Stage, emptied: Database
) -> None:
    lead(other)
    eventually(lambda: holder(actor) == [other.actor.runtime], "one of them leads")
    lead(house)
    pid = other.actor.session.info.backend_pid
    other.actor.die()
    await_gone(emptied.admin_dsn, pid)
    eventually(lambda: holder(actor) == [actor.runtime], "the other one leads")
    assert actor.see("select term from domainflow.leader") == [2]


def test_no_slice_is_done_under_a_term_that_has_ended(database: Database) -> None:
    with psycopg.connect(database.admin_dsn, autocommit=True) as connection:
        connection.execute(ENDING)
    with acting(database.dsn, lane=9) as acts, stage(acts) as house:
        plant(acts, commands=1)
        acts.upkeep.execute(LONG_DEAD, (new_uuid(),))
        lead(house)
        eventually(lambda: acts.see("select count(*) from domainflow.command") == [0], "all chores are done")
    with psycopg.connect(database.admin_dsn) as connection:
        assert connection.execute("select term from public.pruned").fetchall() == [(2,)]


def test_a_chore_that_fails_keeps_no_other_waiting(database: Database) -> None:
    with psycopg.connect(database.admin_dsn, autocommit=True) as connection:
        connection.execute(REFUSING)
    dead = new_uuid()
    with acting(database.dsn, lane=9) as acts, stage(acts) as house:
        plant(acts, commands=1)
        acts.upkeep.execute(LONG_DEAD, (dead,))
        lead(house)
        eventually(lambda: acts.see("select count(*) from domainflow.command") == [0], "the chore behind it is done")
        assert dead in acts.see("select id::text from domainflow.runtime")
        assert house.find("actors/leader").incarnation == 1
