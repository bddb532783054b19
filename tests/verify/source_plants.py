"""Falsifications of sources: the ranges that campaigns reserved, and the lists that users gave."""

import zlib
from collections.abc import Callable
from typing import Final

from plant import Plant, pattern, words
from stored import Hand, fresh_uuid

from domainflow.actors.campaign.actor import stream_of
from domainflow.actors.pattern.messages import OffsetsReserved
from domainflow.verify import Kind

OF_WORDS: Final = " where sha256 in (select sha256 from domainflow.source where kind = 'words')"


def _reserve(campaign: Callable[[Hand], str], start: Callable[[int], int], names: int) -> Callable[[Hand], None]:
    def plant(hand: Hand) -> None:
        row = hand.connection.execute(
            "select max(base + count) from domainflow.campaign where source_stream = %s", (hand.pattern(),)
        ).fetchone()
        first = start(row[0] if row else 0)
        hand.append(hand.pattern(), OffsetsReserved(campaign=campaign(hand), start=first, stop=first + names))

    return plant


def _forget_source_stream(hand: Hand) -> None:
    of_names = " using domainflow.campaign where stream = source_stream and id = %s"
    hand.do("delete from domainflow.event", hand.ids.names, where=of_names)
    hand.do("delete from domainflow.head", hand.ids.names, where=of_names)


def _forget_words(hand: Hand) -> None:
    hand.do("delete from domainflow.source_chunk", where=OF_WORDS)
    hand.do("delete from domainflow.source where kind = 'words'")


SOURCE_PLANTS: Final = (
    Plant(Kind.RANGES_DISCONTINUOUS, pattern, _reserve(lambda h: h.ids.done, lambda _: 0, 200)),
    Plant(Kind.RESERVATION_UNBORN, pattern, _reserve(lambda _: fresh_uuid(), lambda free: free, 5)),
    Plant(Kind.RESERVATION_DIFFERS, pattern, _reserve(lambda h: h.ids.done, lambda free: free, 5)),
    Plant(Kind.CAMPAIGN_UNRESERVED, lambda h: stream_of(h.ids.names), _forget_source_stream),
    Plant(Kind.SOURCE_MISSING, words, _forget_words),
    Plant(
        Kind.SOURCE_CORRUPT,
        lambda _: "source/acme/",
        lambda h: h.do("update domainflow.source set lines = lines + 1 where kind = 'words'"),
        "another number of lines",
    ),
    Plant(
        Kind.SOURCE_CORRUPT,
        lambda _: "source/acme/",
        lambda h: h.do("update domainflow.source_chunk set data = %s", zlib.compress(b"other"), where=OF_WORDS),
        "other bytes",
    ),
    Plant(
        Kind.SOURCE_CORRUPT,
        lambda _: "source/acme/",
        lambda h: h.do("update domainflow.source_chunk set chunk = 1", where=OF_WORDS),
        "a hole",
    ),
)
