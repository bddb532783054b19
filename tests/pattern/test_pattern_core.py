"""A source hands out its offsets once: ranges follow one another, and what is used up is never begun anew."""

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from reservation import HUNDRED, reservation

from domainflow.actors.pattern.actor import RULES, births, source_stream
from domainflow.actors.pattern.core import Pattern, born, decide, evolve
from domainflow.actors.pattern.messages import OffsetsReserved, ReserveOffsets, SourceOpened
from domainflow.actors.rules import Occasion
from domainflow.errors import SpaceExhausted
from domainflow.security.context import Context, Principal
from domainflow.spec import Names, Source, Words

LIST = Names(sha256="ab" * 32, names=100)


def reserve(count: int, source: Source = HUNDRED, campaign: str = "c1") -> ReserveOffsets:
    return reservation(count, campaign, source_stream("acme", "hash"), source=source)


def after(state: Pattern, command: ReserveOffsets) -> Pattern:
    return reduce(evolve, decide(state, command), state)


def test_the_first_reservation_opens_the_source() -> None:
    assert decide(Pattern(), reserve(30)) == (
        SourceOpened(source=HUNDRED, space=100, exclusive=True),
        OffsetsReserved(campaign="c1", start=0, stop=30),
    )


def test_the_next_range_begins_where_the_last_one_ended() -> None:
    assert decide(after(Pattern(), reserve(30)), reserve(5, campaign="c2")) == (
        OffsetsReserved(campaign="c2", start=30, stop=35),
    )


def test_count_0_reserves_all_that_remains() -> None:
    assert decide(after(Pattern(), reserve(30)), reserve(0))[-1] == OffsetsReserved(campaign="c1", start=30, stop=100)


@pytest.mark.parametrize(
    ("taken", "wanted", "words"),
    [(100, 0, "0 of 100 names left, and all were asked for"), (60, 41, "40 of 100 names left, and 41 were asked for")],
)
def test_a_source_with_too_few_names_left_says_how_many_there_are(taken: int, wanted: int, words: str) -> None:
    with pytest.raises(SpaceExhausted, match=words):
        decide(after(Pattern(), reserve(taken)), reserve(wanted))


def test_a_first_reservation_that_is_too_large_does_not_open_the_source() -> None:
    with pytest.raises(SpaceExhausted, match="100 of 100 names left, and 101 were asked for"):
        decide(Pattern(), reserve(101))


@given(st.lists(st.integers(0, 40), max_size=20))
def test_ranges_never_overlap_and_leave_no_hole(counts: list[int]) -> None:
    state, ranges = Pattern(), []
    for count in counts:
        try:
            events = decide(state, reserve(count))
        except SpaceExhausted:
            continue
        state = reduce(evolve, events, state)
        ranges += [(event.start, event.stop) for event in events if isinstance(event, OffsetsReserved)]
    assert [start for start, _ in ranges] == [0, *(stop for _, stop in ranges)][: len(ranges)]
    assert all(0 <= start < stop <= 100 for start, stop in ranges)


def test_a_list_of_names_may_be_worked_on_by_many_campaigns() -> None:
    state = after(Pattern(), reserve(0, LIST))
    assert state.opened == SourceOpened(source=LIST, space=100, exclusive=False)
    assert decide(state, reserve(60, LIST, "c2")) == (OffsetsReserved(campaign="c2", start=0, stop=60),)


def test_a_list_of_names_has_no_more_than_it_has() -> None:
    with pytest.raises(SpaceExhausted, match="100 of 100 names left, and 101 were asked for"):
        decide(after(Pattern(), reserve(0, LIST)), reserve(101, LIST))


def test_words_are_reserved_as_patterns_are() -> None:
    words = Words(sha256="cd" * 32, words=7, constant="x", tlds=(".com", ".org"))
    state = after(Pattern(), reserve(10, words))
    assert state.opened == SourceOpened(source=words, space=14, exclusive=True)
    assert decide(state, reserve(0, words))[-1] == OffsetsReserved(campaign="c1", start=10, stop=14)


def test_the_campaign_is_born_with_the_range_that_was_reserved() -> None:
    command = reserve(0)
    events = decide(after(Pattern(), reserve(30)), command)
    assert born(command, events) == replace(command.draft, base=30, count=70)


def test_its_birth_names_the_owner_the_moment_and_the_source() -> None:
    occasion = Occasion(Context(principal=Principal(id="bob", tenant="acme"), correlation_id="s"), now_us=17)
    command = reserve(5, campaign="c9")
    (birth,) = births(command, decide(Pattern(), command), occasion)
    assert (birth.stream, birth.status) == ("campaign/c9", "pending")
    assert birth.event == replace(command.draft, base=0, count=5, created_at_us=17)
    row = birth.row
    assert (row.id, row.principal, row.source_stream, row.base, row.count) == ("c9", "bob", "pattern/acme/hash", 0, 5)
    assert (row.most_active, row.most_created_a_day) == (10, 50)


def test_a_source_is_shared_by_all_runtimes_and_counted_by_tenant() -> None:
    assert not RULES.owned
    assert source_stream("acme", "h") != source_stream("other", "h")
