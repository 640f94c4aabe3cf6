"""Transactions that a cancelled task does not leave half open: a statement under way ends before the cancellation does.

Only for SQLite, whose statements run in a thread that cannot be interrupted: a connection given up in the middle of one
keeps the write lock, and nobody else gets it. PostgreSQL's driver cancels on the server.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar, cast

from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")


async def whole(work: Coroutine[Any, Any, T]) -> T:
    """Return what ``work`` returns; if we are cancelled meanwhile, it ends first and the cancellation comes then."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # looked at: the cancellation is the news
        raise


class _Unbroken:
    """A connection whose every statement is whole; everything else is the connection's own."""

    def __init__(self, conn: AsyncConnection) -> None:
        """Stand in front of ``conn``."""
        self._conn = conn

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._conn, name)
        if not inspect.iscoroutinefunction(found):
            return found

        def call(*args: Any, **given: Any) -> Awaitable[Any]:
            return whole(found(*args, **given))

        return call


@asynccontextmanager
async def unbroken(begin: AbstractAsyncContextManager[AsyncConnection]) -> AsyncIterator[AsyncConnection]:
    """Lend the connection of ``begin``; the transaction is begun and ended as a whole, whatever happens to us."""
    entering = asyncio.ensure_future(begin.__aenter__())
    try:
        conn = await asyncio.shield(entering)
    except asyncio.CancelledError as exc:
        await asyncio.wait({entering})
        if not entering.cancelled() and entering.exception() is None:
            await begin.__aexit__(type(exc), exc, None)
        raise
    try:
        yield cast("AsyncConnection", _Unbroken(conn))
    except BaseException as exc:
        if not await whole(begin.__aexit__(type(exc), exc, exc.__traceback__)):
            raise
    else:
        await whole(begin.__aexit__(None, None, None))
