"""Who calls: keys of backend services, their scopes and their pace.

A key is ``bt_<live|test>_<id>_<secret>``. The secret has 160 random bits and is stored as a SHA-256 hash: a slow hash
protects weak passwords, not random keys, and would cost every request its milliseconds (OWASP, ASVS 2.4).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence

from gateway.domain.errors import Fault, Forbidden, Invalid, TooMany
from gateway.queue.limits import Rate
from gateway.store import audit, keys
from gateway.usecases.runtime import Runtime
from gateway.usecases.shapes import SCOPES, Caller

_PARTS = 4
_LONGEST_NAME = 80  # with "client:" in front it must fit into the audit's column


def _unauthenticated() -> Forbidden:
    return Forbidden(
        "Send 'Authorization: Bearer <key>' with a valid key; `botengang keys create` makes one.",
        code="unauthenticated",
    )


async def authenticate(rt: Runtime, key: str) -> Caller:
    """Return who shows this key. Raises Forbidden with the code ``unauthenticated``."""
    parts = key.split("_")
    if len(parts) != _PARTS or parts[0] != "bt":
        raise _unauthenticated()
    async with rt.db.read() as conn:
        row = await keys.find_key(conn, parts[2])
    if row is None or not hmac.compare_digest(row.secret_hash, _hashed(parts[3])):
        raise _unauthenticated()
    return Caller(row.client_id, row.client, frozenset(row.scopes), row.test)


def require(caller: Caller, scope: str) -> None:
    """Raise Forbidden unless the caller's key has ``scope``."""
    if scope not in caller.scopes:
        raise Forbidden(f"This key lacks the scope '{scope}'.", code="missing_scope")


async def admit(rt: Runtime, caller: Caller) -> None:
    """Raise TooMany when the caller is faster than its rate."""
    rate = rt.policy.client_per_s
    wait = await rt.buckets.take([Rate(f"client:{caller.client_id}", rate, max(rate, 1.0))])
    if wait > 0:
        raise TooMany("Too many requests; wait as Retry-After says, or use the batch.", retry_after_s=wait)


async def create_key(rt: Runtime, client: str, *, scopes: Sequence[str] = SCOPES, test: bool = False) -> str:
    """Make a key for a client (a new one if the name is new) and return it: it is shown this once. Raises Invalid."""
    if not 0 < len(client) <= _LONGEST_NAME or not client.isprintable():
        fault = Fault("/client", "name_invalid", f"1 to {_LONGEST_NAME} printable characters")
        raise Invalid("A client needs a short name.", faults=[fault])
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown:
        fault = Fault("/scopes", "scope_unknown", f"one of {', '.join(SCOPES)}")
        raise Invalid(f"There is no scope '{unknown[0]}'.", faults=[fault])
    ident, secret = secrets.token_hex(8), base64.b32encode(secrets.token_bytes(20)).decode().lower()
    now = rt.clock.now()
    async with rt.db.write() as conn:
        found = await keys.client_by_name(conn, client)
        client_id = found.id if found else rt.ids.new()
        if found is None:
            await keys.create_client(conn, id=client_id, name=client, now=now)
        await keys.insert_key(
            conn, id=ident, client_id=client_id, secret_hash=_hashed(secret), scopes=list(scopes), test=test, now=now
        )
        await audit.append(conn, at=now, actor="cli", verb="key.created", object=f"api_keys/{ident}")
    return f"bt_{'test' if test else 'live'}_{ident}_{secret}"


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
