"""Go from older keys to newer ones: add them to the ring, bring every row to them, and leave a trace in the audit.

How rows are renewed is gateway.store.rotation's.
"""

from __future__ import annotations

from gateway.store import audit, rotation
from gateway.usecases.runtime import Runtime


async def add_keys(rt: Runtime, *, sealing: bool = False, index: bool = False) -> tuple[int, int]:
    """Add a key of each wanted kind to the ring, for use from now on; return the active numbers. Raises VaultError."""
    rt.vault.add_keys(sealing=sealing, index=index)
    active = rt.vault.active
    if sealing or index:
        await _note(rt, "keys.added", f"sealing {active[0]}, index {active[1]}")
    return active


async def rotate(rt: Runtime) -> int:
    """Bring every row to the active keys; return how many changed. Raises NotRotated, StoreAway."""
    changed = await rotation.rotate(rt.db, rt.vault)
    await _note(rt, "keys.rotated", f"{changed} rows")
    return changed


async def outstanding(rt: Runtime) -> dict[str, int]:
    """Return how many rows of each table still need an older key; all 0: older keys may leave the ring."""
    return await rotation.outstanding(rt.db, rt.vault)


async def _note(rt: Runtime, verb: str, what: str) -> None:
    async with rt.db.write() as conn:
        await audit.append(conn, at=rt.clock.now(), actor="cli", verb=verb, object=what)
