"""The jobs as arq sees them: ids in, one verb called. Policy (retries, time-outs) is not arq's but the row's."""

from __future__ import annotations

from typing import Any

from gateway import telemetry
from gateway.usecases import deliver as delivering
from gateway.usecases.runtime import Runtime


async def deliver(ctx: dict[str, Any], ids: list[str]) -> None:
    """Work on a chunk of deliveries. What fails is found again by the sweeper, by its due time or its lease."""
    rt: Runtime = ctx["runtime"]
    try:
        await delivering.deliver(rt, ids)
    except Exception as exc:  # noqa: BLE001 - arq would log the whole traceback; the class only, a text may quote
        telemetry.log().warning("chunk.failed", error=type(exc).__name__, count=len(ids))
