"""What follows an error, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.kit import errors
from channels.kit.errors import ChannelError
from gateway.domain.retrying import POLICIES, VERDICTS, Step, at_deadline, next_try, verdict

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
KINDS = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, ChannelError)]
AGAIN = [errors.Throttled, errors.Unavailable, errors.Misconfigured]


def wait_s(error: ChannelError, tried: int = 1, *, jitter: float = 0.0, left_s: float = 1e6) -> float | None:
    """Return the seconds that next_try decides to wait."""
    due = next_try(error, tried, now=NOW, expires_at=NOW + timedelta(seconds=left_s), jitter=jitter)
    return None if due is None else (due - NOW).total_seconds()


@pytest.mark.parametrize(
    ("kind", "step", "flags"),
    [
        (errors.Throttled, Step.WAIT, set()),
        (errors.Misconfigured, Step.WAIT, {"pause_account"}),
        (errors.Unavailable, Step.RETRY, {"counts_as_attempt"}),
        (errors.Uncertain, Step.ASK, {"counts_as_attempt"}),
        (errors.Refused, Step.NEXT_CHANNEL, {"counts_as_attempt"}),
        (errors.AddressRefused, Step.NEXT_CHANNEL, {"counts_as_attempt", "suppress"}),
        (errors.OptedOut, Step.NEXT_CHANNEL, {"counts_as_attempt", "suppress", "withdraw"}),
        (errors.WindowClosed, Step.NEXT_CHANNEL, {"counts_as_attempt"}),
        (errors.ContentRefused, Step.STOP, {"counts_as_attempt", "tell_author"}),
        (errors.Unsupported, Step.NEXT_CHANNEL, {"tell_author"}),
        (errors.ChannelError, Step.ASK, {"counts_as_attempt"}),
    ],
)
def test_the_verdict_on_every_class(kind: type[ChannelError], step: Step, flags: set[str]):
    """One line for each class: its step, and exactly its side effects (adapter contract, section 2)."""
    found = verdict(kind("field"))
    assert found.step is step
    names = ("counts_as_attempt", "suppress", "withdraw", "pause_account", "tell_author")
    assert {name for name in names if getattr(found, name)} == flags


def test_no_class_is_without_a_verdict():
    """A class added to the kit has to be given a row of its own."""
    assert set(VERDICTS) == set(KINDS)


def test_a_third_partys_class_gets_its_base_class_verdict():
    """An adapter may narrow a class; the nearest known one decides."""

    class LineDead(errors.AddressRefused):
        """A narrower refusal."""

    assert verdict(LineDead()) is VERDICTS[errors.AddressRefused]


@pytest.mark.parametrize("kind", [one for one in KINDS if one not in AGAIN])
def test_a_refusal_or_an_open_question_is_never_repeated(kind: type[ChannelError]):
    """The Refused family is final, and Uncertain is never retried blindly, even if the provider names a time."""
    error = kind("field")
    error.retry_after_s = 5.0
    assert wait_s(error) is None


@pytest.mark.parametrize("kind", AGAIN)
def test_the_providers_own_time_wins(kind: type[ChannelError]):
    """B-T2, RFC 9110: Retry-After is never undercut, and overshot by less than a second."""
    assert wait_s(kind(retry_after_s=3600.0), 9) == 3600.0
    assert wait_s(kind(retry_after_s=3600.0), 9, jitter=0.5) == 3600.5


@pytest.mark.parametrize(
    ("wish_s", "least_s", "most_s"),
    [(-5.0, 0.0, 1.0), (0.0, 0.0, 1.0), (float("nan"), 1.0, 3.0)],
)
def test_a_senseless_retry_after_is_survived(wish_s: float, least_s: float, most_s: float):
    """A negative wish means now; what is no number counts as not stated."""
    error = errors.Unavailable(retry_after_s=wish_s)
    assert least_s <= (wait_s(error, jitter=0.99) or 0.0) < most_s


@pytest.mark.parametrize("wish_s", [1e6, 1e300, float("inf")])
def test_a_wish_beyond_expiry_gives_up(wish_s: float):
    """B-S7: to come back after the expiry is to give up now, however large the number."""
    assert wait_s(errors.Throttled(retry_after_s=wish_s)) is None


def test_backoff_doubles_up_to_a_quarter_of_an_hour():
    """Unavailable: 1 s plus a draw below 2 s, 4 s, 8 s … 15 min, without overflow at any count of tries."""
    tops = [wait_s(errors.Unavailable(), tried, jitter=1.0) for tried in (1, 2, 3, 9, 10, 11, 100_000)]
    assert tops == [3.0, 5.0, 9.0, 513.0, 901.0, 901.0, 901.0]
    assert wait_s(errors.Unavailable(), 11, jitter=0.0) == 1.0


def test_greylisting_is_given_its_minute():
    """B-E6: a greylisted sender waits at least 60 s, then longer, up to an hour on top."""
    waits = [wait_s(errors.Unavailable(code="greylisted"), tried, jitter=1.0) for tried in (1, 2, 12)]
    assert wait_s(errors.Unavailable(code="greylisted")) == 60.0
    assert waits == [120.0, 180.0, 3660.0]


def test_a_full_mailbox_is_given_hours():
    """A mailbox that is full now is full in a minute, too."""
    assert wait_s(errors.Unavailable(code="mailbox_full")) == 3600.0


@pytest.mark.parametrize(("kind", "least_s", "most_s"), [(errors.Throttled, 2, 7), (errors.Misconfigured, 60, 75)])
def test_waiting_does_not_grow(kind: type[ChannelError], least_s: float, most_s: float):
    """What is not an attempt does not lengthen the wait: a paused account is asked again every minute."""
    for tried in (0, 1, 50):
        assert wait_s(kind(), tried) == least_s
        assert wait_s(kind(), tried, jitter=1.0) == most_s


ERRORS = st.builds(
    lambda kind, code, wish: kind(code=code, retry_after_s=wish),
    st.sampled_from(AGAIN),
    st.sampled_from(["", "greylisted", "mailbox_full"]),
    st.one_of(st.none(), st.floats(0, 1e5)),
)


@given(
    error=ERRORS,
    tried=st.integers(0, 10_000),
    jitter=st.floats(0, 1, exclude_max=True),
    left=st.timedeltas(timedelta(days=-1), timedelta(days=3)),
)
@settings(max_examples=2_000)
def test_a_try_lies_between_now_and_expiry(error: ChannelError, tried: int, jitter: float, left: timedelta):
    """B-S7: never at or after expiry, never before Retry-After, and given up only when the least wait is too long."""
    expires_at = NOW + left
    due = next_try(error, tried, now=NOW, expires_at=expires_at, jitter=jitter)
    least = next_try(error, tried, now=NOW, expires_at=NOW + timedelta(days=400), jitter=0.0)
    assert least is not None
    if due is None:
        assert least >= expires_at - timedelta(microseconds=1)
    else:
        assert least <= due < expires_at
        assert due >= NOW + timedelta(seconds=error.retry_after_s or 0.0)


@given(tried=st.integers(1, 30), low=st.floats(0, 1), high=st.floats(0, 1))
def test_a_larger_draw_never_comes_earlier(tried: int, low: float, high: float):
    """The draw spreads a queue over the whole range: full jitter is monotone in the draw."""
    low, high = sorted((low, high))
    first, second = (wait_s(errors.Unavailable(), tried, jitter=draw) for draw in (low, high))
    assert first is not None
    assert second is not None
    assert first <= second


@pytest.mark.parametrize(
    ("policy", "fallback", "step"),
    [
        ("at_least_once", True, Step.RETRY),
        ("at_least_once", False, Step.RETRY),
        ("at_most_once", True, Step.NEXT_CHANNEL),
        ("at_most_once", False, Step.STOP),
        ("a later word", False, Step.STOP),
    ],
)
def test_the_policy_ends_an_open_question(policy: str, fallback: bool, step: Step):
    """House rule: only a template that says so is ever sent twice on one channel."""
    assert at_deadline(policy, fallback=fallback) is step


def test_the_policies_are_two():
    """The words that a template may use."""
    assert POLICIES == ("at_most_once", "at_least_once")


def test_the_last_try_is_put_before_the_expiry():
    """A range that reaches beyond the expiry is drawn from what is left: half the draw, half of what is left."""
    error = errors.Unavailable()
    assert wait_s(error, 11, jitter=0.5, left_s=101.0) == 51.0
    assert wait_s(error, 11, jitter=0.999_999_999_999, left_s=101.0) == 101.0 - 1e-6
    assert wait_s(error, 11, left_s=1.0) is None
