"""Accounts in trouble: adapters that can be told how their probe ends or have none, and several of a channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from sqlalchemy import select

from channels.kit.contract import Health
from channels.memory import MemoryOptions
from gateway.domain.circuit import State
from gateway.domain.windows import Window
from gateway.egress import Http
from gateway.store import accounts as rows
from gateway.store.tables import audit
from gateway.usecases import accept
from gateway.usecases.runtime import OpenAccount, Runtime
from tests.support.clock import ManualClock
from tests.support.runtime import CALLER, KINDS, Kept, first, person, posted, put


class Probed(Kept):
    """Its probe says what ``ok`` says."""

    ok = True

    async def probe(self) -> Health:
        """Tell."""
        return Health(ok=self.ok)


class Mute(Kept):
    """Cannot be probed: only a message shows how it is."""

    probe = None  # type: ignore[assignment] # the protocol's way to say that a method is not there


@cache
def of_channel(kind: type[Kept], channel: str, *, bound: bool = False) -> type[Kept]:
    """Return ``kind`` with the capabilities of a channel, without its limits."""
    return type(
        f"{kind.__name__}_{channel}", (kind,), {"capabilities": replace(KINDS[channel], limits=(), bound=bound)}
    )


def account(clock: ManualClock, like: OpenAccount, kind: type[Kept] = Probed, **facts: Any) -> OpenAccount:
    """Return an account as ``like``, with an adapter of ``kind`` and these facts changed."""
    windows: Sequence[Window] = facts.pop("windows", ())
    bound = bool(facts.get("bound", False))
    adapter = of_channel(kind, like.facts.channel, bound=bound)(MemoryOptions(), http=Http(), clock=clock)
    return replace(like, facts=replace(like.facts, **facts), adapter=adapter, windows=tuple(windows))


async def accepted(rt: Runtime, count: int, channels: Sequence[str] = ("sms",), **given: Any) -> list[accept.Accepted]:
    """Accept a notification for each of ``count`` new people, who can be reached on these channels in this order."""
    start = next(_NUMBERS)
    names = [f"T-{start}-{number}" for number in range(count)]
    await put(rt, *(person(name, channels) for name in names))
    items = [posted(name, **given) for name in names]
    done = await accept.accept_batch(rt, CALLER, items)
    return [one for one in done if isinstance(one, accept.Accepted)]


_NUMBERS = iter(range(1_000_000))


def ids(done: Sequence[accept.Accepted]) -> list[str]:
    """Return the first deliveries' ids."""
    return [first(one) for one in done]


async def health(rt: Runtime, name: str) -> State | None:
    """Return what the tables say of an account."""
    async with rt.db.read() as conn:
        return (await rows.states(conn)).get(name)


async def audited(rt: Runtime) -> list[tuple[str, str, str]]:
    """Return (actor, verb, object) of the audit log about accounts."""
    async with rt.db.read() as conn:
        found = await conn.execute(
            select(audit.c.actor, audit.c.verb, audit.c.object)
            .where(audit.c.object.like("account:%"))
            .order_by(audit.c.id)
        )
        return [(row[0], row[1], row[2]) for row in found]
