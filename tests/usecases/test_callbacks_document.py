"""docs/callbacks.md: its receiver is run as it stands there and takes real posts; its table has every type."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.domain.callbacks import TYPES
from gateway.egress import Courier
from gateway.usecases import accept, callbacks, posting
from gateway.usecases.runtime import Runtime
from tests.support.clock import ManualClock
from tests.support.runtime import CALLER, drain, posted
from tests.support.waiting import wait_until

DOCUMENT = (Path(__file__).parents[2] / "docs" / "callbacks.md").read_text("utf-8")


@pytest.fixture
def clock() -> ManualClock:
    """Start at the real time: receivers refuse what is older than five minutes."""
    return ManualClock(datetime.now(UTC))  # noqa: TID251 - the receiver is a process of its own with a real clock


@pytest_asyncio.fixture
async def inside(rt: Runtime) -> AsyncIterator[Runtime]:
    """Allow endpoints on loopback."""
    await rt.courier.close()
    rt.courier = Courier(private=True)
    yield rt
    await rt.courier.close()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def listens(port: int) -> bool:
    """Tell whether somebody listens there."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


async def test_the_receiver_in_the_document_takes_real_posts(inside: Runtime, tmp_path: Path):
    """It verifies what we post, sees each event once, and refuses what another secret signed."""
    port, out = free_port(), tmp_path / "out"
    made = await callbacks.register(inside, CALLER, f"http://127.0.0.1:{port}/", [])
    code = re.findall(r"^```python\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)[0]
    env = {**os.environ, "BOTENGANG_SECRET": made["secret"], "PORT": str(port)}
    with out.open("w") as file:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=file, env=env)  # noqa: ASYNC220 - ends below
    try:
        await wait_until(lambda: listens(port), 10.0)
        assert (await callbacks.ping(inside, CALLER, made["id"]))["status"] == 204
        done = await accept.accept(inside, CALLER, posted())
        await drain(inside)
        await posting.post_due(inside)
        await callbacks.replay(inside, CALLER, made["id"], after=0)
        assert await posting.post_due(inside) == 1
        for _ in range(2):
            await callbacks.rotate(inside, CALLER, made["id"])
        assert (await callbacks.ping(inside, CALLER, made["id"]))["status"] == 401
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)
    assert out.read_text().splitlines() == ["ping None", f"notification.submitted {done.id}"]


def test_the_document_tells_every_type():
    """What can come is in the table, and nothing else is."""
    assert re.findall(r"^\| `([a-z]+\.[a-z]+)` \|", DOCUMENT, re.MULTILINE) == [
        "notification.submitted", "notification.delivered", "notification.failed", "notification.skipped",
        "notification.expired", "notification.cancelled", "notification.uncertain", "answer.received",
        "contact.stopped", "contact.unreachable",
    ]  # fmt: skip
    assert set(re.findall(r"^\| `([a-z]+\.[a-z]+)` \|", DOCUMENT, re.MULTILINE)) == set(TYPES)
