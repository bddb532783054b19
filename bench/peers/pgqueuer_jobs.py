"""PgQueuer: jobs claimed and completed.

    .venv-peers/bin/python bench/peers/pgqueuer_jobs.py DSN SECONDS

As its documents advise for many short jobs: asyncpg on uvloop, a connection a queue manager, several managers (five, as
its own bench has), a large batch, its autovacuum settings; all tables are logged (durability `durable`). The queue is
filled before, which is not counted. Jobs count when they have run while the time lasts; all that ran are completed
before the end. Prints one JSON line.
"""

import asyncio
import time
from typing import Any, Final

import asyncpg
import uvloop
from _run import WARM_S, Done, say, told
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

MANAGERS: Final = 5
BATCH: Final = 250  # as our commit lanes take; its own bench takes ten, which is a third as fast
MOST_A_SECOND: Final = 15_000  # jobs: more than any manager gets through
CHUNK: Final = 5_000
TABLE: Final = "select to_regclass('pgqueuer') is not null"


async def connect(server: dict[str, Any]) -> asyncpg.Connection:
    """A connection over the socket."""
    return await asyncpg.connect(
        host=server["host"], port=int(server["port"]), user=server["user"], database=server["dbname"]
    )


async def fill(connection: asyncpg.Connection, jobs: int) -> None:
    """Install what is missing, and have so many jobs in the queue."""
    queries = Queries(AsyncpgDriver(connection))
    if not await connection.fetchval(TABLE):
        await queries.install()
        await queries.optimize_autovacuum()
    waiting = await connection.fetchval("select count(*) from pgqueuer")
    for _ in range(waiting, jobs, CHUNK):
        await queries.enqueue(["work"] * CHUNK, [None] * CHUNK, [0] * CHUNK)
    await connection.execute("vacuum analyze pgqueuer")


async def run(server: dict[str, Any], seconds: float) -> Done:
    """Fill the queue, then work on it for so long."""
    connections = [await connect(server) for _ in range(MANAGERS)]
    await fill(connections[0], int((WARM_S + seconds) * MOST_A_SECOND))
    managers = [PgQueuer(AsyncpgDriver(connection)) for connection in connections]
    done = 0

    async def work(_: Job) -> None:
        nonlocal done
        done += 1

    for manager in managers:
        manager.entrypoint("work")(work)
    running = asyncio.gather(*(manager.run(batch_size=BATCH) for manager in managers))
    await asyncio.sleep(WARM_S)
    before, began_s = done, time.perf_counter()
    await asyncio.sleep(seconds)
    rate = (done - before) / (time.perf_counter() - began_s)
    for manager in managers:
        manager.shutdown.set()
    await running
    for connection in connections:
        await connection.close()
    return Done(done, rate)


if __name__ == "__main__":
    server, seconds = told(__doc__)
    say("jobs", uvloop.run(run(server, seconds)))
