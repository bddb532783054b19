"""DBOS: steps of workflows, by eight threads.

    .venv-peers/bin/python bench/peers/dbos_steps.py DSN SECONDS

A workflow of many steps called directly: no queue, and the two transactions of the workflow itself are spread over its
steps. The pool has its documented default of 20 connections, so no thread waits for one; no step is retried, nothing is
traced. Prints one JSON line.
"""

from typing import Final

from _run import THREADS, Done, say, threads, told
from dbos import DBOS
from sqlalchemy import URL

STEPS: Final = 20


@DBOS.step()
def step(number: int) -> int:
    """Do nothing: what it costs to make a step durable is measured."""
    return number


@DBOS.workflow()
def workflow() -> None:
    """Take all the steps."""
    for number in range(STEPS):
        step(number)


def main() -> None:
    """Launch, run, print."""
    server, seconds = told(__doc__)
    user, database = server.pop("user"), server.pop("dbname")
    url = URL.create("postgresql+psycopg", username=user, database=database, query=server)
    DBOS(
        config={
            "name": "bench",
            "system_database_url": url.render_as_string(hide_password=False),
            "log_level": "WARNING",
        }
    )
    DBOS.launch()
    try:
        workflows = threads([workflow] * THREADS, seconds)
    finally:
        DBOS.destroy()
    say("steps", Done(workflows.done * STEPS, workflows.rate * STEPS))


if __name__ == "__main__":
    main()
