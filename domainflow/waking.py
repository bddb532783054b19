"""Who is woken when there may be something to see: here at once, in other runtimes by a hint of the notifier's."""

from collections.abc import Collection

from domainflow.actors.campaign.actor import PREFIX
from domainflow.actors.directory import Directory
from domainflow.actors.effects import ADMISSION, CLAIMER, Wake
from domainflow.actors.hub import Hub
from domainflow.actors.notifier import Moved, Outbox

NOTIFIER = "store/notifier"
BOX = "upkeep/command_box"


class Waking:
    """The ways to whoever waits, in one runtime and between all. For any thread."""

    def __init__(self, runtime: str, directory: Directory) -> None:
        """Nobody waits yet."""
        self.hub = Hub()
        self.outbox = Outbox()
        self._runtime = runtime
        self._directory = directory

    def tell(self, *words: str, moved: Collection[str] = ()) -> None:
        """Have all runtimes told that there may be something to see: for whom, or on which streams."""
        if self.outbox.put(*words, moved=moved):
            self._wake(NOTIFIER)

    def moved(self, streams: Collection[str]) -> None:
        """Streams were committed here: whoever waits for them is woken, here at once and elsewhere by a hint."""
        campaigns = [stream for stream in streams if stream.startswith(PREFIX)]
        if campaigns:
            self.hub.wake(campaigns)
            self.tell(moved=campaigns)

    def hear(self, payload: str) -> None:
        """Wake whom a hint is meant for; an empty one: everybody, for some may have been missed."""
        moved = Moved.parse(payload)
        if moved is not None:
            self._hear(moved)
        elif payload:
            self._wake(f"upkeep/{payload}")
        else:
            self.hub.wake_all()
            for path in (CLAIMER, BOX, ADMISSION):
                self._wake(path)

    def _hear(self, moved: Moved) -> None:
        if moved.runtime == self._runtime:
            return
        if moved.streams:
            self.hub.wake(moved.streams)
        else:
            self.hub.wake_all()

    def _wake(self, path: str) -> None:
        ref = self._directory.find(path)
        if ref is not None:
            ref.signal(Wake())
