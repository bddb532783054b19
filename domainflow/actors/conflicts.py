"""What becomes of a command that others were quicker than, on a stream that any runtime may write.

Pure: the shell asks, and acts.
"""

from typing import Final, cast

from domainflow.actors.answers import Asked
from domainflow.actors.codec import EventT
from domainflow.actors.draft import Draft, Stream
from domainflow.actors.envelope import Envelope
from domainflow.actors.rules import CommandT, Rules, StateT, Strategy
from domainflow.errors import VersionConflict
from domainflow.store.port import Loaded

MOST_TRIES: Final = 8  # behind others


def unexpected(envelope: Envelope, stream: Stream) -> VersionConflict | None:
    """Return the refusal of a command that was meant for another version; None: it was not."""
    expected = envelope.context.expected_version
    if expected is None or expected == stream.version:
        return None
    return VersionConflict(f"{stream.name} is at version {stream.version}, not at {expected}; nothing was written")


def resolution(  # noqa: PLR0913 - both sides of a conflict
    rules: Rules[StateT, CommandT, EventT], asked: Asked, draft: Draft, loaded: Loaded, *, decided_at: int, tries: int
) -> Strategy:
    """Return what to do with a draft on the stream as others left it, when it has come too late so many times."""
    strategy = rules.strategies.get(type(asked.envelope.message), Strategy.REBASE)
    if tries > MOST_TRIES:
        return Strategy.REJECT
    if strategy is Strategy.MERGE and not _merges(rules, asked, draft, loaded, decided_at):
        return Strategy.REBASE
    return strategy


def _merges(
    rules: Rules[StateT, CommandT, EventT], asked: Asked, draft: Draft, loaded: Loaded, decided_at: int
) -> bool:
    """Whether it may stand behind what has come since with no new decision; not if a snapshot hides some of that."""
    since = [rules.decode_event(recorded) for recorded in loaded.events if recorded.version > decided_at]
    if asked.envelope.context.expected_version is not None or len(since) < loaded.version - decided_at:
        return False
    return all(rules.commute(their, cast("EventT", our)) for their in since for our in draft.events)
