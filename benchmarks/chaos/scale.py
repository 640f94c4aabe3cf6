"""How big a run is, and its script: which process dies where and when, drawn from a seed, the same at every run."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.usecases.faults import POINTS

EMBEDDED, SCALED, BOTH = "embedded", "scaled", "both"
MODES = (EMBEDDED, SCALED)
SLACK_S = 5.0  # recovery may take the lease and so much


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Sizes and seconds of a run. ``warm``: processes are forked from one that has imported the program."""

    messages: int
    kills: int  # of working processes, in each mode
    post_s: float  # how long the backend service posts; the faults happen meanwhile
    lease_s: float
    uncertain_s: float
    deadline_s: float  # of one provider call
    redis_down_s: float
    full_s: float  # how long the embedded database is full
    settle_s: float  # the longest that anything may take to end after the last fault
    warm: bool

    @property
    def recovery_limit_s(self) -> float:
        """Return the longest that a row may be nobody's after a kill."""
        return self.lease_s + SLACK_S


QUICK = Scale(
    messages=500, kills=6, post_s=15, lease_s=5, uncertain_s=3, deadline_s=2, redis_down_s=4, full_s=2, settle_s=25,
    warm=True,
)  # fmt: skip
FULL = Scale(
    messages=5000, kills=20, post_s=110, lease_s=10, uncertain_s=10, deadline_s=5, redis_down_s=10, full_s=4,
    settle_s=120, warm=False,
)  # fmt: skip

WORKING = tuple(
    name for name in POINTS if not name.startswith(("after_prepare", "before_accept", "after_commit", "after_receipt"))
)
ACCEPTING = ("after_commit_before_ring", "before_accept_commit", "after_receipt_before_ring", "after_prepare")
SLOW = ("after_call_before_record", "after_claim", "after_begin_sending")


@dataclass(frozen=True, slots=True)
class Life:
    """One life of a process: where it dies by itself or is slow, and when it is killed at the latest."""

    faults: Mapping[str, str]
    seconds: float
    pause_s: float  # until the next life

    @property
    def end(self) -> str:
        """The point at which it dies by itself, "signal" if it does not."""
        return next((name for name, word in self.faults.items() if word.startswith("exit")), "signal")


def worker_lives(scale: Scale, *, count: int, draw: random.Random) -> list[Life]:
    """Return the lives of one worker: every second one dies at a fault point, the others at no matter what line."""
    points = list(WORKING)
    draw.shuffle(points)
    mean_s = scale.post_s / count
    lives = []
    for number in range(count):
        if number % 2 == 0:
            faults, patience = {points[number // 2 % len(points)]: f"exit:{draw.randint(1, 3)}"}, 2.0
        else:  # slow at a place, so that the signal finds work in flight
            faults, patience = {SLOW[number // 2 % len(SLOW)]: f"sleep:{draw.uniform(0.1, 0.4):.2f}"}, 1.0
        lives.append(Life(faults, mean_s * patience * draw.uniform(0.6, 0.95), draw.uniform(0.05, 0.3)))
    return lives


def server_lives(scale: Scale, *, draw: random.Random) -> list[Life]:
    """Return the lives of the HTTP side: it dies between commit and ring, before the commit, and after a receipt."""
    seconds = scale.post_s / (len(ACCEPTING) + 1)
    return [
        Life({point: f"exit:{draw.randint(3, 8)}"}, seconds * draw.uniform(0.8, 1.0), draw.uniform(0.05, 0.3))
        for point in ACCEPTING
    ]


def embedded_lives(scale: Scale, *, draw: random.Random) -> list[Life]:
    """Return the lives of the one process that does everything."""
    lives = worker_lives(scale, count=scale.kills, draw=draw)
    for number, point in zip(range(1, len(lives), 2), ACCEPTING, strict=False):
        faults = {**lives[number].faults, point: f"exit:{draw.randint(3, 8)}"}
        lives[number] = replace(lives[number], faults=faults, seconds=lives[number].seconds * 2)
    return lives


def shares(total: int, parts: int) -> Sequence[int]:
    """Divide ``total`` into ``parts`` that differ by one at most."""
    return [total // parts + (number < total % parts) for number in range(parts)]
