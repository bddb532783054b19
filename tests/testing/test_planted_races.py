"""Every planted race is found, made short and told again; without it nothing is found."""

import pytest
from races_of_life import RACES

from domainflow.testing import Schedule, find, tell

MOST_ORDERS = 2000
MOST_HELD = 5


@pytest.mark.parametrize("name", RACES)
def test_a_planted_race_is_found_made_short_and_told_again_from_one_line(name: str) -> None:
    race = RACES[name]
    found = find(race.broken, race.search(MOST_ORDERS))
    assert found is not None
    assert len(found.schedule.held) + len(found.schedule.faults) <= MOST_HELD
    again = tell(race.broken, Schedule.parse(str(found.schedule)))
    assert (type(again.error), str(again.error)) == (type(found.told.error), str(found.told.error))


@pytest.mark.parametrize("name", RACES)
def test_without_its_race_a_program_stands_every_order(name: str) -> None:
    assert find(RACES[name].fixed, RACES[name].search(500)) is None


@pytest.mark.chaos
@pytest.mark.parametrize("name", RACES)
def test_without_its_race_a_program_stands_ten_thousand_orders(name: str) -> None:
    assert find(RACES[name].fixed, RACES[name].search(10_000)) is None
