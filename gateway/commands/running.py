"""What every verb of the command line shares: settings, an open Runtime, and plain last words instead of a traceback.

It decides nothing about notifications and prints no answer; the verbs do.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import typer

from channels.kit.errors import ChannelError
from gateway import bootstrap, processes, telemetry
from gateway.demo.stage import StageFailed
from gateway.domain.content import TemplateInvalid
from gateway.domain.errors import CallerError
from gateway.settings import Settings, SettingsInvalid, load
from gateway.store.engine import StoreAway
from gateway.store.keyring import VaultError
from gateway.store.migrate import migrate
from gateway.usecases.runtime import Runtime

T = TypeVar("T")
MISUSED = 2  # exit status: what an operator can mend


def complain(*lines: str) -> None:
    """Say something to the operator on standard error."""
    for line in lines:
        print(line, file=sys.stderr)  # noqa: T201 - what a command says to its operator


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; what an operator can mend ends in one line each and exit status 2."""
    try:
        return asyncio.run(work)
    except SettingsInvalid as exc:
        lines = exc.lines
    except (StoreAway, VaultError) as exc:
        lines = [f"{type(exc).__name__}: {exc}"]
    except (processes.PortTaken, bootstrap.AlreadyRunning, TemplateInvalid, StageFailed) as exc:
        lines = str(exc).splitlines()
    except ChannelError as exc:
        lines = [f"the provider refused: {exc}"]
    except CallerError as exc:
        lines = [exc.detail, *(f"  {fault.pointer}: {fault.detail}" for fault in exc.faults)]
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    complain(*lines)
    raise typer.Exit(MISUSED)


def configured() -> Settings:
    """Read the settings and set up the log; mistakes end in one line each and exit status 2."""
    try:
        settings = load()
    except SettingsInvalid as exc:
        complain(*exc.lines)
        raise typer.Exit(MISUSED) from None
    telemetry.configure(settings.log_level, json=settings.log_json)
    return settings


def with_runtime(verb: Callable[[Runtime], Awaitable[T]], settings: Settings | None = None) -> T:
    """Open a Runtime on the migrated store, call one verb, close."""

    async def work(chosen: Settings) -> T:
        async with bootstrap.open(chosen) as rt:
            await migrate(rt.db)
            return await verb(rt)

    return run(work(settings or configured()))
