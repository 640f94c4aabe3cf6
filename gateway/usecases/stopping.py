"""The link with which a person says stop: signed, bound to one delivery, without any personal data in it."""

from __future__ import annotations

import hmac

from gateway.usecases.runtime import Runtime

_TAG_BYTES = 16  # the key's version and at least 96 bits of the HMAC


def stop_url(rt: Runtime, delivery: str) -> str:
    """Return the one-click unsubscribe address (RFC 8058) of a delivery: GET shows a page, POST acts."""
    return f"{rt.policy.public_url}/stop/{delivery}.{_tag(rt, delivery)}"


def delivery_of(rt: Runtime, token: str) -> str | None:
    """Return the delivery that a token of ours speaks of, None for any other."""
    delivery, _, tag = token.rpartition(".")
    known = (one[:_TAG_BYTES].hex() for one in rt.vault.indexes("stop", delivery))
    return delivery if any(hmac.compare_digest(tag.encode(), one.encode()) for one in known) else None


def _tag(rt: Runtime, delivery: str) -> str:
    return rt.vault.index("stop", delivery)[:_TAG_BYTES].hex()
