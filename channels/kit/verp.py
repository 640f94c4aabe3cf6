"""Make return addresses that carry a message's key and a tag that only we can make, and read them back (VERP).

It opens no mail. A bounce is matched by this address alone: whoever is named inside it may be anybody (B-E5).
RFC 5321, 4.5.3.1.1 (64 octets before the @); RFC 2104 (HMAC, here SHA-256); RFC 4648 (base32, in lower case).
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from channels.kit.errors import Forged

_PREFIX = "b+"
_TAG = 20  # characters, 100 bits: nobody guesses it, and a key of 36 characters still fits
_MAX_LOCAL = 64
MAX_KEY = _MAX_LOCAL - len(_PREFIX) - 1 - _TAG


def return_address(key: str, *, domain: str, secret: str) -> str:
    """Return ``b+<key>.<tag>@domain``. ``key``: at most MAX_KEY characters that a mailbox may have without quotes."""
    return f"{_PREFIX}{key}.{_tag(key, secret)}@{domain}"


def key_of(recipient: str, *, domain: str, secret: str) -> str:
    """Return the key in a return address of ours, "" for any other address.

    Case does not matter: some servers write addresses in their own way. Raises Forged where the tag is not ours.
    """
    local, _, host = recipient.rpartition("@")
    if host.lower() != domain.lower() or not local.lower().startswith(_PREFIX):
        return ""
    key, _, tag = local[len(_PREFIX) :].rpartition(".")
    for spelling in (key, key.lower()):
        if hmac.compare_digest(_bytes(tag.lower()), _bytes(_tag(spelling, secret))):
            return spelling
    raise Forged("the tag of the return address is not ours")


def _tag(key: str, secret: str) -> str:
    # the word in front keeps these tags apart from whatever else the same secret may ever sign
    digest = hmac.digest(_bytes(secret), b"return address\0" + _bytes(key), hashlib.sha256)
    return base64.b32encode(digest).decode("ascii").lower()[:_TAG]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
