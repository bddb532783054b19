"""A client that writes down what it asks for and what it is told, and asks again with the key while it is in doubt."""

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from chaos import ledger
from chaos.ledger import Command, Fate, Ledger

from domainflow.actors.campaign.events import PhaseConfig
from domainflow.errors import Conflict, Rejected, Unavailable
from domainflow.operations import Operations
from domainflow.spec import CampaignSpec, KeywordRule
from domainflow.vocabulary import Phase

ASK_S: Final = 3.0  # a time-out that comes true now and then
AGAIN_S: Final = 0.05
UNDONE: Final = ("nothing was done", "nothing was created")  # what an error says of itself; held to account for it
CAMPAIGN: Final = "campaign/"


class Told(NamedTuple):
    """What became of a command."""

    fate: Fate
    stream: str = ""


class Client:
    """One thread's client. Its marks begin with `name`, which no other client and no other life has."""

    def __init__(
        self, operations: Operations, ledger_: Ledger, name: str, *, spec: Callable[[str], CampaignSpec]
    ) -> None:
        """`spec` makes what is created, from its mark."""
        self._operations = operations
        self._ledger = ledger_
        self._name = name
        self._numbers = itertools.count(1)
        self._spec = spec

    def create(self) -> str | None:
        """Create a campaign; return its stream, None when it was not done."""
        mark = self._mark()
        return self._do(Command(mark, "create", shows=mark)).stream or None

    def configure(self, stream: str) -> None:
        mark = self._mark()
        self._do(Command(mark, "configure", stream, shows=mark))

    def start(self, stream: str) -> bool:
        return self._do(Command(self._mark(), "start", stream)).fate == "acknowledged"

    def pause(self, stream: str) -> str | None:
        """Pause it for a holder of its own; return the holder's mark."""
        mark = self._mark()
        told = self._do(Command(mark, "pause", stream, shows=mark))
        return mark if told.fate == "acknowledged" else None

    def resume(self, stream: str, paused: str) -> None:
        """Lift the pause of that mark, however often it takes: nobody else would."""
        while self._do(Command(self._mark(), "resume", stream, shows=paused)).fate == "undone":
            time.sleep(AGAIN_S)

    def come_back(self, path: Path) -> None:
        """After a death: find out what became of everything that was in doubt, and leave no campaign held."""
        for entry in ledger.read(path).values():
            if entry.fate == "in doubt":
                self._ledger.told(entry.command, "in doubt")
                self._settle(entry.command, tries=1)
        known = ledger.read(path).values()
        lifted = {e.command.shows for e in known if e.command.verb == "resume" and e.fate != "undone"}
        for entry in known:
            if entry.command.verb == "pause" and entry.fate == "acknowledged" and entry.command.shows not in lifted:
                self.resume(entry.command.stream, entry.command.shows)

    def _mark(self) -> str:
        return f"{self._name}-{next(self._numbers)}z"

    def _do(self, command: Command) -> Told:
        self._ledger.sent(command)
        return self._settle(command, tries=0)

    def _settle(self, command: Command, *, tries: int) -> Told:
        """Ask until it is known what became of it; `tries` have been before, and may have done it."""
        while True:
            try:
                stream, version = self._ask(command)
            except (Rejected, Conflict):
                self._ledger.told(command, "refused")
                return Told("refused")
            except Unavailable as error:
                if tries == 0 and any(words in str(error) for words in UNDONE):
                    self._ledger.told(command, "undone")
                    return Told("undone")
                if tries == 0:
                    self._ledger.told(command, "in doubt")
                tries += 1
                time.sleep(AGAIN_S)
            else:
                self._ledger.told(command, "acknowledged", stream, version)
                return Told("acknowledged", stream)

    def _ask(self, command: Command) -> tuple[str, int]:
        """Ask for it under its key; return stream and version."""
        key, id_ = command.mark, command.stream.removeprefix(CAMPAIGN)
        if command.verb == "create":
            spec = self._spec(command.mark)
            return self._operations.create_campaign(spec, idempotency_key=key, timeout_s=ASK_S).stream, 1
        handle = self._operations.campaign(id_)
        if command.verb == "configure":
            config = PhaseConfig(keywords=(KeywordRule(text=command.mark),))
            phase = Phase.HTTP_KEYWORD_VALIDATION
            ack = handle.configure_phase(phase, config, idempotency_key=key, timeout_s=ASK_S)
        elif command.verb == "pause":
            ack = handle.pause(command.mark, f"window:{command.mark}", idempotency_key=key, timeout_s=ASK_S)
        elif command.verb == "resume":
            ack = handle.resume(f"window:{command.shows}", idempotency_key=key, timeout_s=ASK_S)
        else:
            ack = handle.start(idempotency_key=key, timeout_s=ASK_S)
        return handle.stream, ack.version
