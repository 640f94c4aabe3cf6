"""The two PostgreSQL engines: one pool that only reads, one for transactions.

It decides nothing about transactions; gateway.store.engine lends the connections. Poolers in front of the server must
keep a session per connection, because asyncpg prepares its statements.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

CONNECT_S = 5.0
RECYCLE_S = 240  # younger than the idle limits of common firewalls and load balancers
_SESSION = {"application_name": "botengang", "jit": "off"}  # our statements are short: compiling them costs more


def engines(url: URL, *, pool: int, timeout_s: float | None) -> tuple[AsyncEngine, AsyncEngine]:
    """Return (reader, writer), each with ``pool`` connections at most.

    The reader has no transactions (one round trip a statement, where BEGIN and ROLLBACK would make it three): under
    READ COMMITTED they would not show another picture.
    """
    url = _with_ssl(url)
    read_only = {**_SESSION, "default_transaction_read_only": "on"}
    reader = _engine(url, pool=pool, isolation="AUTOCOMMIT", session=read_only, timeout_s=timeout_s)
    writer = _engine(url, pool=pool, isolation="READ COMMITTED", session=_SESSION, timeout_s=timeout_s)
    return reader, writer


def _engine(url: URL, *, pool: int, isolation: str, session: dict[str, str], timeout_s: float | None) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=pool,
        max_overflow=0,
        pool_timeout=10,
        pool_recycle=RECYCLE_S,
        isolation_level=isolation,
        hide_parameters=True,
        connect_args={"timeout": CONNECT_S, "command_timeout": timeout_s, "server_settings": session},
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    event.listen(engine.sync_engine, "handle_error", _hush)
    return engine


def _with_ssl(url: URL) -> URL:
    """Accept libpq's ``sslmode``, which operators know, for what asyncpg calls ``ssl``."""
    if "sslmode" not in url.query:
        return url
    return url.update_query_dict({"ssl": url.query["sslmode"]}).difference_update_query(["sslmode"])


def _refuse_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """Ping without a round trip: the driver notices a server that hung up, and the pool then connects anew."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _hush(context: ExceptionContext) -> None:
    """Take our values out of the server's words: DETAIL repeats whole rows, and class 22 and the driver the value."""
    for error in (context.original_exception, context.original_exception.__cause__):
        if error is None or not error.args:
            continue
        vars(error).pop("detail", None)
        state = getattr(error, "sqlstate", None)
        if state is None or str(state).startswith("22"):
            error.args = (f"{type(error).__name__} {state or ''}".strip(), *error.args[1:])
    if context.sqlalchemy_exception is not None:
        context.sqlalchemy_exception.args = (str(context.original_exception.args[0]),)
