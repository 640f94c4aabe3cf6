"""Limits of a day: 25 buckets of an hour, never more than the provider's own moving window would allow."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import windows
from gateway.domain.windows import CALLS, HOUR, PEOPLE, Window
from tests.support.clock import START

DAY = Window(PEOPLE, 250)


def test_a_bucket_counts_until_all_of_it_is_out():
    """What was sent at 9:00 or 9:59 counts until 10:00 on the next day: the bucket knows no minutes."""
    counts = {START: 7}
    assert windows.used(DAY, counts, START + timedelta(hours=24, minutes=59)) == 7
    assert windows.frees_at(DAY, counts, START + HOUR) == START + 25 * HOUR
    assert windows.used(DAY, counts, START + 25 * HOUR) == 0


def test_what_lies_before_the_window_is_neither_counted_nor_waited_for():
    """Old rows, emptied rows: the oldest bucket with anything in it inside the window is what has to leave."""
    now = START + 30 * HOUR
    counts = {START: 9, START + 6 * HOUR: 0, START + 8 * HOUR: 3, START + 20 * HOUR: 4}
    assert windows.used(DAY, counts, now) == 7
    assert windows.frees_at(DAY, counts, now) == START + 33 * HOUR
    assert windows.frees_at(DAY, {}, now) > now


def test_the_last_fifth_is_not_for_bulk():
    """B-W8: what can wait leaves room for appointments."""
    assert [windows.room(DAY, 199, lane) for lane in ("bulk", "normal", "urgent")] == [1, 51, 51]
    assert [windows.room(DAY, 200, lane) for lane in ("bulk", "normal")] == [0, 50]
    assert windows.room(DAY, 999, "urgent") == 0


def test_somebody_is_told_once_at_eighty_per_cent():
    """B-W8: the alarm is at the crossing, not at every use beyond."""
    assert [windows.crossed(DAY, before, before + 1) for before in (198, 199, 200)] == [False, True, False]
    assert windows.crossed(DAY, 0, 250)


@given(
    minutes=st.lists(st.integers(0, 3 * 24 * 60), max_size=60).map(sorted),
    count=st.integers(1, 5),
)
def test_no_moving_day_ever_holds_more_than_the_limit(minutes: list[int], count: int):
    """Whatever the instants: reserving only where there is room keeps every window of 24 hours within the limit."""
    window = Window(CALLS, count)
    counts: dict[datetime, int] = {}
    went = []
    for minute in minutes:
        now = START + timedelta(minutes=minute)
        if windows.room(window, windows.used(window, counts, now), "normal"):
            hour = windows.hour_of(now)
            counts[hour] = counts.get(hour, 0) + 1
            went.append(now)
        else:
            free = windows.frees_at(window, counts, now)
            assert free > now
            assert windows.room(window, windows.used(window, counts, free), "normal")
    assert all(sum(one <= other < one + timedelta(days=1) for other in went) <= count for one in went)
