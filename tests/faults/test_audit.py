"""The auditor: each kind of broken promise is found where it was planted, and an honest book is left alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from benchmarks.chaos import scale
from benchmarks.chaos.audit import Findings, audit, longest_silence_s
from benchmarks.chaos.client import Told
from benchmarks.chaos.report import Result, as_json
from benchmarks.chaos.stage import Person
from benchmarks.chaos.tables import Row
from benchmarks.chaos.watch import Kill
from tests.support.clock import START

ANNA = Person(0, {"sms": "+4917650000000", "email": "a@post.example"})


def row(outcome: str = "delivered", *, state: str = "delivered", code: str | None = None, again: int = 0) -> Row:
    """Return Anna's notification in the tables; ``again``: how often the timeline says it was sent again."""
    events = [{"event": "accepted", "code": None}, *[{"event": "queued", "code": "uncertain"}] * again]
    return Row("n-1", ANNA.id, outcome, [{"channel": "sms", "state": state, "code": code}], events)


def taken(channel: str = "sms", *, status: str = "delivered", accepted: bool = True) -> Mapping[str, Any]:
    """Return a line of the stand-ins' log about Anna."""
    return {"channel": channel, "to": ANNA.addresses[channel], "accepted": accepted, "status": status}


def judged(*rows: Row, log: tuple[Mapping[str, Any], ...] = (), policy: str = "at_most_once") -> Findings:
    """Audit Anna's one notification, which was accepted under the id n-1."""
    return audit([ANNA], {0: policy}, Told(ids={0: "n-1"}), {one.id: one for one in rows}, log)


@pytest.mark.parametrize(
    ("rows", "log"),
    [
        ((row(),), (taken(),)),
        ((row("failed", state="failed", code="unconfirmed"),), ()),
        ((row("failed", state="failed", code="unconfirmed"),), (taken(),)),
        ((row("delivered"),), (taken(status="undelivered"), taken("email"))),
    ],
)
def test_an_honest_book_is_left_alone(rows: tuple[Row, ...], log: tuple[Mapping[str, Any], ...]):
    """Delivered once; given up with a reason; refused by one channel's receipt and taken by the next."""
    assert judged(*rows, log=log).good


@pytest.mark.parametrize(
    ("kind", "rows", "log"),
    [
        ("lost", (), (taken(),)),
        ("lost", (row(),), ()),
        ("lost", (row(),), (taken(accepted=False),)),
        ("lost", (row("failed", state="failed", code=None),), ()),
        ("stuck", (row("pending", state="queued"),), ()),
        ("stuck", (row("uncertain", state="uncertain"),), (taken(),)),
        ("stuck", (row("submitted", state="submitted"),), (taken(),)),
        ("twice", (row(),), (taken(), taken())),
        ("twice", (row(), Row("n-2", ANNA.id, "delivered", [], [])), (taken(),)),
        ("twice", (row(again=1),), (taken(), taken())),
    ],
)
def test_a_broken_promise_is_found(kind: str, rows: tuple[Row, ...], log: tuple[Mapping[str, Any], ...]):
    """Not in the tables, at no provider, without a reason, without an end, without its receipt, twice."""
    found = judged(*rows, log=log)
    assert not found.good
    assert len(getattr(found, kind)) == 1


@pytest.mark.parametrize(("again", "kind"), [(1, "again"), (0, "unmarked")])
def test_a_second_message_is_marked_or_a_fault(again: int, kind: str):
    """``at_least_once`` may send again after an unknown outcome, and says so in the timeline."""
    found = judged(row(again=again), log=(taken(), taken()), policy="at_least_once")
    assert len(getattr(found, kind)) == 1
    assert found.good is (kind == "again")


def result(findings: Findings, *, accepted: int = 500, recovery_s: float = 3.0, mode: str = "embedded") -> Result:
    """Return a run's result."""
    return Result(
        mode=mode, messages=500, accepted=accepted, findings=findings, recovery_s=recovery_s, recovery_limit_s=10.0,
        kills=9, peak_mib=0, growth_mib=0, story=(), done={}, answers={}, crossed=True, seconds=1.0,
    )  # fmt: skip


def test_a_run_is_good_only_if_every_promise_was_kept():
    """All accepted, nothing found, recovered in time: otherwise the exit status says so."""
    assert result(Findings()).good
    assert result(Findings(again=["said so"])).good
    assert not result(Findings(), accepted=499).good
    assert not result(Findings(), recovery_s=10.1).good
    assert not result(Findings(unmarked=["x"])).good


def test_both_modes_are_summed_and_the_worst_recovery_told():
    """One object for programs, whatever ran."""
    two = [result(Findings(again=["x"])), result(Findings(lost=["y"]), recovery_s=7.25, mode="scaled")]
    assert as_json(two) == (
        '{"accepted": 1000, "lost": 1, "stuck": 0, "duplicates_at_most_once": 0, "duplicates_at_least_once": 1, '
        '"recovery_s": 7.2, "kills": 18, "mode": "both"}'
    )


def test_silence_counts_from_a_kill_that_found_a_backlog():
    """The clock of the stand-ins is ahead; a kill with nothing to do is followed by silence of no meaning.

    Where nobody is left working after a second kill, it counts from that.
    """
    ahead = timedelta(days=100)
    log = [{"at": (START + ahead + timedelta(seconds=at)).isoformat(), "accepted": True} for at in (1, 5, 60)]
    busy = Kill(START + timedelta(seconds=2), "up", "signal", 0.0, backlog=3)
    idle = Kill(START + timedelta(seconds=6), "up", "signal", 0.0, backlog=0)
    last = Kill(START + timedelta(seconds=4), "up", "signal", 0.0, backlog=3, alone=True)
    assert longest_silence_s([busy, idle], log, ahead) == pytest.approx(3.0)
    assert longest_silence_s([busy, last, idle], log, ahead) == pytest.approx(1.0)


def test_the_same_seed_draws_the_same_script():
    """A run that found something can be repeated."""
    one, two, three = (scale.embedded_lives(scale.QUICK, draw=scale.random.Random(seed)) for seed in (1, 1, 2))
    assert one == two
    assert one != three
    assert len(one) == scale.QUICK.kills
