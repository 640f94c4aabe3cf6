"""Seal values at rest, find addresses without storing them, and compare request bodies without keeping them.

It does no SQL and keeps no plaintext; the keys are gateway.store.keyring's.
AES-256-GCM (NIST SP 800-38D): 1 byte version, 4 bytes key number (0: the person's data key), 12 bytes nonce,
ciphertext with tag; bound to table, row, column and this head. Blind index: 2 bytes key version, HMAC-SHA-256.
"""

from __future__ import annotations

import hmac
import os
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.store.keyring import KEY_BYTES, KeyRing, VaultError

__all__ = ["HEAD_BYTES", "OWN", "Row", "Vault", "VaultError", "head", "inbound_row", "index_head"]

Row = str | tuple[str, ...]
"""A row's name: its primary key, or the tuple of its parts."""

VERSION = 1
OWN = 0  # key number of a person's data key
HEAD_BYTES = 5
_NONCE_BYTES = 12
_TAG_BYTES = 16
_OWN_HEAD = bytes([VERSION]) + OWN.to_bytes(4, "big")
_PERSON = ("subjects", "data_key_sealed")


def head(key_number: int) -> bytes:
    """Return the first five bytes of everything sealed with this key of the ring."""
    return bytes([VERSION]) + key_number.to_bytes(4, "big")


def index_head(version: int) -> bytes:
    """Return the first two bytes of every index made with this index key."""
    return version.to_bytes(2, "big")


def inbound_row(account: str, event_id: str) -> str:
    """Name a row of ``inbound`` for sealing: an account's name has no slash, so that no two rows share a name."""
    return f"{account}/{event_id}"


class Vault:
    """Seals, opens, indexes and compares with the keys of one ring."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._ciphers: dict[int, AESGCM] = {}
        self._body = ring.keys.body

    def __repr__(self) -> str:
        return f"Vault({self._ring!r})"

    @property
    def active(self) -> tuple[int, int]:
        """Numbers of the (sealing key, index key) that new values get."""
        keys = self._ring.keys
        return keys.sealing_active, keys.index_active

    def add_keys(self, *, sealing: bool, index: bool) -> None:
        """Add a fresh key of each wanted kind to the ring and use it from now on. Raises VaultError."""
        if sealing:
            self._ring.add_key()
        if index:
            self._ring.add_index_key()

    @staticmethod
    def new_data_key() -> bytes:
        """Return a fresh key for one person."""
        return os.urandom(KEY_BYTES)

    def seal_data_key(self, subject: str, key: bytes) -> bytes:
        """Wrap a person's data key for ``subjects.data_key_sealed``."""
        if len(key) != KEY_BYTES:
            raise VaultError("a data key has 32 bytes")
        return self.seal(key, table=_PERSON[0], row=subject, column=_PERSON[1])

    def open_data_key(self, subject: str, sealed: bytes) -> bytes:
        """Unwrap a person's data key. Raises VaultError."""
        return self.open(sealed, table=_PERSON[0], row=subject, column=_PERSON[1])

    def seal(self, plain: bytes, *, table: str, row: Row, column: str, data_key: bytes | None = None) -> bytes:
        """Seal for one cell, with the person's data key or else the ring's active key (45 bytes more than plain)."""
        if data_key is None:
            keys = self._ring.keys
            start, cipher = head(keys.sealing_active), self._cipher(keys.sealing_active)
        else:
            start, cipher = _OWN_HEAD, _own(data_key)
        nonce = os.urandom(_NONCE_BYTES)
        return start + nonce + cipher.encrypt(nonce, plain, _place(start, table, row, column))

    def open(self, sealed: bytes, *, table: str, row: Row, column: str, data_key: bytes | None = None) -> bytes:
        """Open what was sealed for this very cell.

        data_key: needed for what a person's data key sealed, unused otherwise.  Raises VaultError when the value was
        changed, moved to another cell, or sealed with a key that is not at hand.
        """
        if len(sealed) < HEAD_BYTES + _NONCE_BYTES + _TAG_BYTES or sealed[0] != VERSION:
            raise VaultError(f"{table}.{column} does not hold a sealed value")
        start = sealed[:HEAD_BYTES]
        number = int.from_bytes(start[1:], "big")
        if number != OWN:
            cipher = self._cipher(number)
        elif data_key is not None:
            cipher = _own(data_key)
        else:
            raise VaultError(f"{table}.{column} is sealed with the person's data key, which was not given")
        nonce = sealed[HEAD_BYTES : HEAD_BYTES + _NONCE_BYTES]
        try:
            return cipher.decrypt(nonce, sealed[HEAD_BYTES + _NONCE_BYTES :], _place(start, table, row, column))
        except InvalidTag:
            raise VaultError(f"{table}.{column} was changed, moved or sealed with another key") from None

    def index(self, channel: str, address: str) -> bytes:
        """Return the blind index of an address under the active index key, for storing."""
        keys = self._ring.keys
        return _index(keys.index_active, keys.index[keys.index_active], channel, address)

    def indexes(self, channel: str, address: str) -> list[bytes]:
        """Return the index under every index key, newest first, for looking up (``IN``) while a rotation runs."""
        versions = self._ring.keys.index
        return [_index(version, versions[version], channel, address) for version in sorted(versions, reverse=True)]

    def body_hash(self, body: bytes) -> bytes:
        """Return the keyed hash of a canonical request body (32 bytes)."""
        return hmac.digest(self._body, body, "sha256")

    def same_body(self, known: bytes, body: bytes) -> bool:
        """Tell whether this body has that hash."""
        return hmac.compare_digest(known, self.body_hash(body))

    def _cipher(self, number: int) -> AESGCM:
        cipher = self._ciphers.get(number)
        if cipher is None:
            key = self._ring.keys.sealing.get(number)
            if key is None:
                raise VaultError(f"the key ring has no key {number}: bring it up to date on this machine")
            cipher = self._ciphers[number] = AESGCM(key)
        return cipher


@lru_cache(maxsize=512)
def _own(data_key: bytes) -> AESGCM:
    if len(data_key) != KEY_BYTES:
        raise VaultError("a data key has 32 bytes")
    return AESGCM(data_key)


def _place(start: bytes, table: str, row: Row, column: str) -> bytes:
    """Name a cell so that no two cells share a name, whatever a provider's ids contain."""
    parts = (table, column, row) if isinstance(row, str) else (table, column, *row)
    return start + _joined(parts)


def _joined(parts: tuple[str, ...]) -> bytes:
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]  # an encoding error would quote the part
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def _index(version: int, key: bytes, channel: str, address: str) -> bytes:
    return index_head(version) + hmac.digest(key, _joined((channel, address)), "sha256")
