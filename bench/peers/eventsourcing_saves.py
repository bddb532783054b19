"""eventsourcing: saves of aggregates, by eight threads.

    .venv-peers/bin/python bench/peers/eventsourcing_saves.py DSN SECONDS

Each thread changes an aggregate of its own and saves it: one event a save. The Postgres recorder is in its default
mode, which locks the table so that readers miss no event; its functions in the database, which are faster, let them.
The pool has a connection a thread. Prints one JSON line.
"""

from collections.abc import Callable

from _run import THREADS, say, threads, told
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event


class Campaign(Aggregate):
    """Something that is configured again and again."""

    def __init__(self) -> None:
        self.timeout_s = 0.0

    @event("Configured")
    def configure(self, timeout_s: float) -> None:
        """Become so."""
        self.timeout_s = timeout_s


def saving(application: Application, campaign: Campaign) -> Callable[[], None]:
    """What a thread does again and again."""

    def save() -> None:
        campaign.configure(1.5 - campaign.timeout_s)
        application.save(campaign)

    return save


def main() -> None:
    """Set up, run, print."""
    server, seconds = told(__doc__)
    application = Application(
        env={
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": server["dbname"],
            "POSTGRES_HOST": server["host"],
            "POSTGRES_PORT": str(server["port"]),
            "POSTGRES_USER": server["user"],
            "POSTGRES_PASSWORD": "",  # the socket needs none
            "POSTGRES_POOL_SIZE": str(THREADS),
        }
    )
    campaigns = [Campaign() for _ in range(THREADS)]
    saves = threads([saving(application, campaign) for campaign in campaigns], seconds)
    application.close()
    say("saves", saves)


if __name__ == "__main__":
    main()
