"""Counts and timings."""

from domainflow.meters import BOUNDS_S, Count, Meters, Timing


def test_what_is_counted_is_told_by_name_and_labels_in_order() -> None:
    meters = Meters()
    meters.count("retried", "sweep", "40P01")
    meters.count("begun", "view")
    meters.count("begun", "commit")
    meters.count("begun", "commit")
    assert meters.snapshot() == (
        Count("begun", ("commit",), 2),
        Count("begun", ("view",), 1),
        Count("retried", ("sweep", "40P01"), 1),
    )


def test_a_time_falls_into_the_first_class_that_holds_it_and_a_long_one_into_the_last() -> None:
    meters = Meters()
    for seconds in (0.0, 0.000_25, 0.000_26, 0.003, 8.192, 9.0):
        meters.time("seconds", seconds)
    (timing,) = meters.snapshot()
    assert isinstance(timing, Timing)
    assert (timing.number, round(timing.sum_s, 6)) == (6, 17.19551)
    assert timing.classes == (2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1)
    assert BOUNDS_S[:2] == (0.000_25, 0.000_5)
    assert BOUNDS_S[-1] == 8.192
