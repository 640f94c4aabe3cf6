"""Let a test in at the one place between claim and the commit to sending: where tokens are asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway.queue.limits import Rate


class Interlude:
    """Buckets that call ``act`` once, when they are first asked, and always give a token."""

    def __init__(self, act: Callable[[], Awaitable[object]]) -> None:
        self._act: Callable[[], Awaitable[object]] | None = act

    async def take(self, rates: list[Rate]) -> float:  # noqa: ARG002 - every wish is granted
        """Let the test in, the first time."""
        act, self._act = self._act, None
        if act is not None:
            await act()
        return 0.0
