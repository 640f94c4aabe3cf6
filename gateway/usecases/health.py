"""Accounts' health: what the calls say of each account, and what follows: rest, alert, probe, and go on by itself.

What a state means is gateway.domain.circuit's; which delivery goes where is gateway.usecases.steering's. All processes
share the states through the tables and look at them once a second; a healthy account costs no statement of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from channels.kit.contract import Probes
from channels.kit.errors import ChannelError, Misconfigured
from gateway import telemetry
from gateway.domain import circuit
from gateway.domain.circuit import Allow, Circuit, State
from gateway.domain.model import Account
from gateway.store import accounts, audit
from gateway.store.engine import Connection

if TYPE_CHECKING:
    from gateway.usecases.deliver import Called
    from gateway.usecases.runtime import OpenAccount, Runtime

FRESH_S = 1.0  # how long a look at the tables is good for
PROBE_S = 10.0  # the longest that a probe may take
SYSTEM = "system"
log = telemetry.log()


class Health:
    """What this process knows of the accounts' states; all of them share it through the tables."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._states: Mapping[str, State] = {}
        self._looked_at: float | None = None
        self._turn = asyncio.Lock()

    async def look(self, rt: Runtime) -> None:
        """Read the states, at most once a second. Raises StoreAway."""
        if self._fresh(rt):
            return
        async with self._turn:
            if self._fresh(rt):
                return
            async with rt.db.read() as conn:
                self._states = await accounts.states(conn)
            self._looked_at = rt.clock.monotonic()

    def _fresh(self, rt: Runtime) -> bool:
        return self._looked_at is not None and rt.clock.monotonic() - self._looked_at < FRESH_S

    def state(self, name: str, now: datetime) -> State:
        """Return what was last seen or done; an account that nothing is known of is well."""
        return self._states.get(name) or circuit.well(now)

    def keep(self, name: str, state: State) -> None:
        """Know at once what this process has written itself."""
        self._states = {**self._states, name: state}

    def flows(self, name: str) -> bool:
        """Tell whether nothing holds messages back on this account."""
        state = self._states.get(name)
        return state is None or (state.circuit is Circuit.CLOSED and not state.paused)

    def rests(self, name: str) -> bool:
        """Tell whether nothing at all may go over the account, a single try included."""
        state = self._states.get(name)
        return state is not None and (state.circuit is Circuit.OPEN or state.paused)

    def allows(self, name: str, now: datetime) -> Allow:
        """Tell whether a message may go over the account now."""
        return circuit.allows(self.state(name, now), now)

    def facts(self, account: Account, now: datetime) -> Account:
        """Return the account as planning shall see it: paused while it rests, and with the share it has now.

        While a single try may be made it is not paused, so that some message comes its way and shows how it is.
        """
        state = self._states.get(account.name)
        if state is None:
            return account
        rests = circuit.allows(state, now) is Allow.NO
        return replace(account, paused=account.paused or rests, share=circuit.share(state, now))

    async def observe(
        self, rt: Runtime, conn: Connection, account: str, outcomes: Sequence[ChannelError | None]
    ) -> None:
        """Draw the conclusions from a group of calls on one account, in the transaction that records them.

        A healthy account costs no statement; with trouble lately it is two, on one row.
        """
        now = rt.clock.now()
        found = circuit.seen(outcomes)
        if not circuit.says_something(self.state(account, now), found, now):
            return
        before = await accounts.locked(conn, account, now=now)
        state = circuit.after(
            before, calls=found.calls, unavailable=found.unavailable, misconfigured_code=found.misconfigured_code,
            now=now,
        )  # fmt: skip
        self.keep(account, state)
        if state == before:
            return
        await accounts.write(conn, account, state)
        wrong = next((one.provider_code for one in outcomes if isinstance(one, Misconfigured)), "")
        await _tell(conn, account, before, state, provider_code=wrong, now=now)


async def observed(rt: Runtime, conn: Connection, calls: Iterable[Called]) -> None:
    """Draw the conclusions from a group of calls on any accounts, in order of names; played calls say nothing."""
    outcomes: dict[str, list[ChannelError | None]] = {}
    for one in calls:
        if one.work.simulate is None and one.work.account in rt.accounts:
            outcomes.setdefault(one.work.account, []).append(one.error)
    for name in sorted(outcomes):
        await rt.health.observe(rt, conn, name, outcomes[name])


async def _tell(
    conn: Connection, account: str, before: State, state: State, *, provider_code: str, now: datetime
) -> None:
    """Alert once for each trouble: a probe that fails again is no news."""
    if state.circuit is Circuit.OPEN and before.circuit is not Circuit.OPEN:
        telemetry.account_openings.labels(account, telemetry.class_of(state.code)).inc()
    if state.circuit is Circuit.OPEN and before.circuit is Circuit.CLOSED:
        if state.code == circuit.UNAVAILABLE:
            log.warning("account.opened", account=account, code=state.code)
        else:
            log.warning("account.misconfigured", account=account, code=state.code, provider_code=provider_code)
        await _audit(conn, "account.opened", account, actor=SYSTEM, now=now, detail={"code": state.code})
    elif state.circuit is Circuit.CLOSED and before.circuit is not Circuit.CLOSED:
        log.info("account.closed", account=account)
        await _audit(conn, "account.closed", account, actor=SYSTEM, now=now, detail={"code": before.code})


async def _audit(
    conn: Connection, verb: str, account: str, *, actor: str, now: datetime, detail: Mapping[str, Any]
) -> None:
    await audit.append(conn, at=now, actor=actor, verb=verb, object=f"account:{account}", detail=detail)


async def try_one(rt: Runtime, account: str) -> bool:
    """Win or lose the right to send the one message that shows how the account is; the winner sends it now.

    Where the provider can be asked without sending anything, that comes first.
    """
    now = rt.clock.now()
    if not _may_try(rt, account, rt.health.state(account, now), now):
        return False
    async with rt.db.write() as conn:
        state = await accounts.locked(conn, account, now=now)
        won = _may_try(rt, account, state, now)
        if won:
            state = circuit.trying(state, now=now, patience=rt.policy.lease)
            await accounts.write(conn, account, state)
    rt.health.keep(account, state)
    return won


def _may_try(rt: Runtime, account: str, state: State, now: datetime) -> bool:
    asked = state.circuit is Circuit.HALF_OPEN or not isinstance(rt.accounts[account].adapter, Probes)
    return asked and circuit.allows(state, now) is Allow.PROBE


async def probe_due(rt: Runtime) -> int:
    """Ask the providers of resting accounts whether they are back, where that can be asked; return how many were asked.

    Takes as long as a probe may (10 s): run it beside the sweeper and not within.
    """
    await rt.health.look(rt)
    now = rt.clock.now()
    resting = [
        (name, one)
        for name, one in rt.accounts.items()
        if isinstance(one.adapter, Probes)
        and rt.health.state(name, now).circuit is Circuit.OPEN
        and rt.health.allows(name, now) is Allow.PROBE
    ]
    return sum(await asyncio.gather(*(_probe(rt, name, one) for name, one in resting)))


async def _probe(rt: Runtime, name: str, account: OpenAccount) -> int:
    """Probe one account, if nobody else does: the right to is taken first, in a transaction of its own."""
    now = rt.clock.now()
    async with rt.db.write() as conn:
        state = await accounts.locked(conn, name, now=now)
        mine = state.circuit is Circuit.OPEN and circuit.allows(state, now) is Allow.PROBE
        if mine:
            await accounts.write(conn, name, replace(state, probe_at=now + timedelta(seconds=2 * PROBE_S)))
    if not mine:
        rt.health.keep(name, state)
        return 0
    ok = await _answers(account)
    now = rt.clock.now()
    async with rt.db.write() as conn:
        state = circuit.probed(await accounts.locked(conn, name, now=now), ok=ok, now=now)
        await accounts.write(conn, name, state)
    rt.health.keep(name, state)
    log.info("account.probed", account=name, ok=ok)
    return 1


async def _answers(account: OpenAccount) -> bool:
    adapter: Any = account.adapter
    try:
        async with asyncio.timeout(PROBE_S):
            health = await adapter.probe()
    except Exception:  # noqa: BLE001 - late, or an adapter that breaks its word: no sign of health in any case
        return False
    return bool(health.ok)
