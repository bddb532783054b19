"""What a planted fault is, and the streams that faults are planted in."""

from collections.abc import Callable
from dataclasses import dataclass

from stored import Hand

from domainflow.actors.campaign.actor import stream_of
from domainflow.verify import Kind


@dataclass(frozen=True)
class Plant:
    """One falsification, and what the verifier must say of it."""

    kind: Kind
    where: Callable[[Hand], str]  # how the fault's place begins
    plant: Callable[[Hand], None]
    label: str = ""


def done(hand: Hand) -> str:
    return stream_of(hand.ids.done)


def running(hand: Hand) -> str:
    return stream_of(hand.ids.running)


def words(hand: Hand) -> str:
    return stream_of(hand.ids.words)


def pattern(hand: Hand) -> str:
    return hand.pattern()
