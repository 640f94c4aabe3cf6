"""What operators see and say of accounts: how each is, keep its messages, go on, tell its provider where we are.

Acts through the tables, so that it works while the gateway runs: every process looks within a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels.kit.contract import Installs
from gateway.domain import circuit
from gateway.domain.circuit import State
from gateway.domain.errors import Conflict, NotFound
from gateway.domain.reasons import codes_of
from gateway.store import accounts, audit
from gateway.usecases import windows
from gateway.usecases.runtime import OpenAccount, Runtime

WAITING = ("account_rests", *sorted(codes_of("misconfigured")))  # codes of rows that wait for an account to come back


async def status(rt: Runtime) -> list[Mapping[str, Any]]:
    """Return every configured account with its health, in order of names.

    Keys: name, channel, released, weight, share (per cent of the weight), paused ("", "operator", "settings"), circuit,
    code, since, probe_at, windows [{kind, used, limit}].
    """
    now = rt.clock.now()
    async with rt.db.read() as conn:
        known = await accounts.states(conn)
    return [await _told(rt, name, known.get(name) or circuit.well(now)) for name in sorted(rt.accounts)]


async def _told(rt: Runtime, name: str, state: State) -> Mapping[str, Any]:
    facts = rt.accounts[name].facts
    return {
        "name": name,
        "channel": facts.channel,
        "released": facts.released,
        "weight": facts.weight,
        "share": circuit.share(state, rt.clock.now()),
        "paused": "operator" if state.paused else "settings" if facts.paused else "",
        "circuit": state.circuit.value,
        "code": state.code,
        "since": state.opened_at if state.circuit is not circuit.Circuit.CLOSED else None,
        "probe_at": state.probe_at,
        "windows": [
            {"kind": window.kind, "used": used, "limit": window.count} for window, used in await windows.used(rt, name)
        ],
    }


async def pause(rt: Runtime, name: str, *, actor: str) -> None:
    """Keep the account's messages until somebody resumes it. Raises NotFound."""
    _account(rt, name)
    now = rt.clock.now()
    async with rt.db.write() as conn:
        before = await accounts.locked(conn, name, now=now)
        state = circuit.pause(before, now=now)
        if state != before:
            await accounts.write(conn, name, state)
            await audit.append(conn, at=now, actor=actor, verb="account.paused", object=f"account:{name}")
    rt.health.keep(name, state)


async def resume(rt: Runtime, name: str, *, actor: str) -> int:
    """Let the account's messages go again, at first a single one if it was in trouble; return how many are due now.

    Raises NotFound, and Conflict where the settings pause it: that is not ours to take back.
    """
    if _account(rt, name).facts.paused:
        raise Conflict(f"The settings pause it: unset GATEWAY_ACCOUNTS__{name}__PAUSED and start again.")
    now = rt.clock.now()
    async with rt.db.write() as conn:
        before = await accounts.locked(conn, name, now=now)
        state = circuit.resume(before, now=now)
        if state != before:
            await accounts.write(conn, name, state)
            await audit.append(conn, at=now, actor=actor, verb="account.resumed", object=f"account:{name}")
        woken = await accounts.wake(conn, name, codes=WAITING, now=now)
    rt.health.keep(name, state)
    return woken


async def install(rt: Runtime, name: str) -> None:
    """Tell an account's provider where to call us; may be repeated. Raises NotFound, ChannelError."""
    adapter = _account(rt, name).adapter
    if not isinstance(adapter, Installs):
        raise NotFound(f"There is nothing to install for an account '{name}'.")
    await adapter.install(rt.callback_url(name))


def _account(rt: Runtime, name: str) -> OpenAccount:
    if name not in rt.accounts:
        known = ", ".join(sorted(rt.accounts)) or "none are configured"
        raise NotFound(f"There is no account '{name}'; known: {known}.")
    return rt.accounts[name]
