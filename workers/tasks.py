"""The jobs as arq sees them: ids in, one verb called. Policy (retries, time-outs) is not arq's but the row's."""

from __future__ import annotations

from typing import Any

from gateway.usecases import deliver as delivering
from gateway.usecases.runtime import Runtime


async def deliver(ctx: dict[str, Any], ids: list[str]) -> None:
    """Work on a chunk of deliveries."""
    rt: Runtime = ctx["runtime"]
    await delivering.deliver(rt, ids)
