"""A gateway in the working folder with one dead letter and one message that waits, for the operator's verbs."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from click.testing import Result
from typer.testing import CliRunner

from gateway import bootstrap
from gateway.cli import app
from gateway.settings import load
from gateway.store.migrate import migrate
from gateway.usecases import accept, access
from gateway.usecases.runtime import Runtime
from gateway.usecases.shapes import Accepted
from tests.support.runtime import drain, first, posted, publish


def told(*arguments: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, list(arguments))


def stuck() -> tuple[str, str]:
    """Leave a dead letter and a waiting notification of a test key; return the ids of their first deliveries."""

    async def make() -> tuple[str, str]:
        async with bootstrap.open(load()) as rt:
            await migrate(rt.db)
            await publish(rt)
            dead, waiting = await _two(rt)
            return first(dead), first(waiting)

    return asyncio.run(make())


async def _two(rt: Runtime) -> tuple[Accepted, Accepted]:
    caller = await access.authenticate(rt, await access.create_key(rt, "portal", test=True))
    dead = await accept.accept(rt, caller, posted("test-refused"))
    for _ in range(4):
        await drain(rt)
    later = rt.clock.now() + timedelta(hours=1)
    return dead, await accept.accept(rt, caller, posted("test-delivered", send_at=later))
