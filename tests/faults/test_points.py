"""A process dies at each of the fault points; another one finishes what it left, and nothing goes out twice."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from channels.kit.contract import Fact, Receipt
from channels.kit.errors import Refused
from gateway.settings import SettingsInvalid, load
from gateway.usecases import accept, deliver, receipts, upkeep
from gateway.usecases.faults import POINTS, ArmedFaults, Faults
from gateway.usecases.runtime import Runtime
from tests.support.clock import ManualClock
from tests.support.runtime import (
    CALLER,
    adapter,
    catalogue,
    drain,
    first,
    posted,
    publish,
    report,
    row,
    states,
    taken,
)

WORKING = ("after_claim", "after_render", "after_begin_sending", "after_call_before_record", "before_record_commit")
NOTHING_LEFT_THE_HOUSE = ("after_claim", "after_render")


class Died(BaseException):
    """Stands for kill -9: nothing of ours catches it, open transactions are lost."""


class Dying(Faults):
    """Dies at one point, the first time."""

    def __init__(self, point: str) -> None:
        self._point = point
        self.died = False

    async def at(self, name: str) -> None:
        """Die here, if it is the place."""
        if name == self._point and not self.died:
            self.died = True
            raise Died


async def dying(rt: Runtime, point: str, act: Callable[[], Awaitable[object]]) -> None:
    """Let the process of ``rt`` die at a point while it does something."""
    faults = rt.faults = Dying(point)
    with pytest.raises(Died):
        await act()
    assert faults.died


async def finish(rt: Runtime, clock: ManualClock) -> None:
    """Do what another process does in the next hours: sweep, work, sweep."""
    for step in (timedelta(seconds=3), rt.policy.lease, timedelta(seconds=30), rt.policy.uncertain):
        clock.advance(step)
        await upkeep.sweep(rt)
        await drain(rt)


@pytest.mark.parametrize("point", WORKING)
async def test_at_most_once_survives_a_death_at_every_line_of_deliver(
    rt: Runtime, other: Runtime, clock: ManualClock, point: str
):
    """Before the commit to sending it is sent by the other; after it nobody sends again, and the reason is told."""
    done = await accept.accept(rt, CALLER, posted())
    await dying(rt, point, lambda: deliver.deliver(rt, [first(done)]))
    went_out = len(taken(rt))
    await finish(other, clock)
    if point in NOTHING_LEFT_THE_HOUSE:
        assert await states(other, done) == [("sms", "submitted", None), ("email", "queued", None)]
        assert went_out == 0
    else:
        assert await states(other, done) == [("sms", "failed", "unconfirmed"), ("email", "skipped", "unconfirmed")]
    assert len(taken(rt)) == (went_out or point in NOTHING_LEFT_THE_HOUSE)


@pytest.mark.parametrize("point", WORKING)
async def test_at_least_once_is_sent_again_and_says_so(rt: Runtime, other: Runtime, clock: ManualClock, point: str):
    """It reaches the provider whatever happens; a second message carries the same key and stands in the timeline."""
    await publish(rt, replace(catalogue()["unterlagen_fehlen"], policy="at_least_once"))
    done = await accept.accept(rt, CALLER, posted())
    await dying(rt, point, lambda: deliver.deliver(rt, [first(done)]))
    await finish(other, clock)
    assert (await row(other, first(done)))["state"] == "submitted"
    assert {key for _, key in taken(rt)} == {first(done)}
    again = [
        one for one in (await report(other, done))["timeline"] if (one["event"], one["code"]) == ("queued", "uncertain")
    ]
    assert len(taken(rt)) <= 1 + len(again)


@pytest.mark.parametrize("point", ["after_prepare", "before_accept_commit"])
async def test_a_death_before_the_commit_leaves_nothing(rt: Runtime, other: Runtime, point: str):
    """The client has no answer and repeats the request: it is new, and exactly one message goes out."""
    await dying(rt, point, lambda: accept.accept_group(rt, [(CALLER, posted(key="k"))]))
    done = await accept.accept(other, CALLER, posted(key="k"))
    assert not done.repeated
    await drain(other)
    assert len(taken(rt)) == 1


async def test_a_death_between_commit_and_ring_loses_nothing(rt: Runtime, other: Runtime, clock: ManualClock):
    """The repeated request gets the first answer, and the sweeper rings for what nobody was told of."""
    await dying(rt, "after_commit_before_ring", lambda: accept.accept_group(rt, [(CALLER, posted(key="k"))]))
    done = await accept.accept(other, CALLER, posted(key="k"))
    assert done.repeated
    assert await other.doorbell.depth("normal") == 0
    clock.advance(3)
    await upkeep.sweep(other)
    assert await other.doorbell.depth("normal") == 1
    await drain(other)
    assert [key for _, key in taken(rt)] == [first(done)]


async def test_a_death_before_the_ring_for_a_fallback_is_healed(rt: Runtime, other: Runtime, clock: ManualClock):
    """The refusal was recorded and made the next channel due; the sweeper finds it."""
    adapter(rt, "sms").fail_next(Refused("no"))
    done = await accept.accept(rt, CALLER, posted())
    await dying(rt, "after_record_before_ring", lambda: deliver.deliver(rt, [first(done)]))
    clock.advance(3)
    await upkeep.sweep(other)
    assert await other.doorbell.depth("normal") == 1
    await drain(other)
    assert await states(other, done) == [("sms", "failed", "refused"), ("email", "submitted", None)]


async def test_a_death_after_a_receipt_is_healed(rt: Runtime, other: Runtime, clock: ManualClock):
    """A failure report made the next channel due and nobody rang; the provider repeats it, and no harm is done."""
    done = await accept.accept(rt, CALLER, posted())
    await deliver.deliver(rt, [first(done)])
    told = Receipt(event_id="e", provider_id="", key=first(done), fact=Fact.FAILED, at=clock.now(), error=Refused("no"))
    await dying(rt, "after_receipt_before_ring", lambda: receipts.take(rt, "sms", [told]))
    await receipts.take(other, "sms", [told])
    clock.advance(3)
    await upkeep.sweep(other)
    await drain(other)
    assert await states(other, done) == [("sms", "failed", "refused"), ("email", "submitted", None)]


async def test_a_sweeper_that_dies_is_followed_by_another(rt: Runtime, other: Runtime, clock: ManualClock):
    """It put a dead worker's claim back and died before it rang: the next sweep rings."""
    done = await accept.accept(rt, CALLER, posted())
    await dying(rt, "after_claim", lambda: deliver.deliver(rt, [first(done)]))
    clock.advance(rt.policy.lease)
    await dying(rt, "after_heal_before_ring", lambda: upkeep.sweep(rt))
    clock.advance(3)
    await upkeep.sweep(other)
    assert await other.doorbell.depth("normal") == 1
    await drain(other)
    assert [key for _, key in taken(rt)] == [first(done)]


async def test_every_point_is_passed(rt: Runtime, clock: ManualClock):
    """The settings offer no place that no verb comes by."""
    passed: set[str] = set()

    class Passing(Faults):
        async def at(self, name: str) -> None:
            passed.add(name)

    rt.faults = Passing()
    done = await accept.accept(rt, CALLER, posted())
    await deliver.deliver(rt, [first(done)])
    told = Receipt(event_id="e", provider_id="", key=first(done), fact=Fact.DELIVERED, at=clock.now())
    await receipts.take(rt, "sms", [told])
    again = await accept.accept(rt, CALLER, posted())
    await dying(rt, "after_claim", lambda: deliver.deliver(rt, [first(again)]))
    rt.faults = Passing()
    clock.advance(rt.policy.lease)
    await upkeep.sweep(rt)
    assert passed == set(POINTS)


async def test_a_receipt_that_arrives_while_the_submission_is_recorded_is_not_lost(rt: Runtime, clock: ManualClock):
    """Both transactions want the same row: whichever is second sees what the first one wrote."""
    done = await accept.accept(rt, CALLER, posted())
    told = Receipt(event_id="e", provider_id="", key=first(done), fact=Fact.DELIVERED, at=clock.now())
    arriving: list[asyncio.Task[None]] = []

    class Meanwhile(Faults):
        async def at(self, name: str) -> None:
            if name == "before_record_commit":
                arriving.append(asyncio.create_task(receipts.take(rt, "sms", [told])))
                await asyncio.wait(arriving, timeout=0.3)

    rt.faults = Meanwhile()
    await deliver.deliver(rt, [first(done)])
    await arriving[0]
    assert (await row(rt, first(done)))["state"] == "delivered"


PROGRAM = """
import asyncio
from gateway.usecases.faults import ArmedFaults

async def main():
    faults = ArmedFaults({"after_claim": "exit:2"})
    try:
        for number in range(3):
            print(number, flush=True)
            await faults.at("after_claim")
    finally:
        print("cleaned up", flush=True)

asyncio.run(main())
"""


def test_an_ordered_death_is_a_kill(tmp_path: Path):
    """``exit:2`` kills the process the second time it comes by, without a word and without cleaning up."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, program], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.split()) == (-signal.SIGKILL, ["0", "1"])


async def test_an_ordered_wait_waits():
    """``sleep`` lets other work go on meanwhile, and other points are passed at once."""
    faults = ArmedFaults({"after_claim": "sleep:30"})
    await faults.at("after_render")
    waiting = asyncio.create_task(faults.at("after_claim"))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


@pytest.mark.parametrize("words", [{"after_lunch": "exit:1"}, {"after_claim": "exit:0"}, {"after_claim": "sometimes"}])
def test_an_unknown_fault_is_refused(words: dict[str, str]):
    """A slip of the pen would test nothing."""
    with pytest.raises(SettingsInvalid, match="FAULT_POINTS"):
        load(_env_file=None, profile="test", fault_points=words)


@pytest.mark.parametrize(
    ("name", "value"),
    [("fault_points", {"after_claim": "exit:1"}), ("clock_offset_s", 60.0), ("sqlite_max_pages", 100)],
)
def test_production_refuses_what_is_for_tests(name: str, value: object):
    """One line names the setting; the profile for tests takes it."""
    assert getattr(load(_env_file=None, profile="test", **{name: value}), name) == value
    with pytest.raises(SettingsInvalid) as told:
        load(_env_file=None, **{name: value})
    assert [f"GATEWAY_{name.upper()}" in line for line in told.value.lines] == [True]
