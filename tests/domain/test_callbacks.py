"""Types of events and times of posts: nothing about reading, retries for three days, the receiver's wish first."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.callbacks import TRY_FOR, TYPES, next_post, rest_s, type_of
from gateway.domain.states import Outcome
from tests.support.clock import START


def test_no_type_speaks_of_reading():
    """Whether somebody has read a message is never told (A-23); every other outcome but pending is."""
    assert not [one for one in TYPES if "read" in one]
    assert type_of(Outcome.PENDING) is None
    assert {type_of(one) for one in Outcome} - {None} == {one for one in TYPES if one.startswith("notification.")}


def test_posts_are_tried_for_three_days_with_growing_pauses():
    """Ten tries in the first hours, pauses of hours later, and an end."""
    now, pauses = START, list[float]()
    while due := next_post(len(pauses) + 1, now=now, queued_at=START, wish_s=None, jitter=0.5):
        pauses.append((due - now).total_seconds())
        now = due
    assert pauses[:3] == [10.0, 15.0, 25.0]
    assert pauses[15] == 5.0 + 21_600.0 / 2
    assert timedelta(days=2, hours=20) < now - START < TRY_FOR
    assert 20 < len(pauses) < 60


@given(
    tried=st.integers(1, 10_000),
    passed_s=st.floats(0, 400_000),
    wish_s=st.none() | st.floats(0, allow_nan=False, allow_infinity=True),
    jitter=st.floats(0, 1, exclude_max=True),
)
def test_the_next_post_is_neither_too_early_nor_late(tried: int, passed_s: float, wish_s: float | None, jitter: float):
    """Whatever the draw: at least five seconds and the receiver's wish from now, and within the three days."""
    now = START + timedelta(seconds=passed_s)
    due = next_post(tried, now=now, queued_at=START, wish_s=wish_s, jitter=jitter)
    if due is not None:
        assert (due - now).total_seconds() >= max(5.0, wish_s or 0.0) - 1e-5
        assert due <= START + TRY_FOR


@pytest.mark.parametrize(("wish_s", "least"), [(None, 1.0), (90.0, 90.0)])
def test_an_endpoint_rests_longer_the_more_it_fails(wish_s: float | None, least: float):
    """From a second to five minutes; its own Retry-After is kept to."""
    rests = [rest_s(failures, wish_s=wish_s, jitter=0.99) for failures in range(1, 20)]
    assert rests == sorted(rests)
    assert rests[0] >= least
    assert max(rests) <= max(301.0, least)
