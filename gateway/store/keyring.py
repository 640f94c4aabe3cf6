"""The key ring: every key that the store seals, indexes and compares with, in one JSON file outside the database.

It seals nothing itself (gateway.store.vault does) and never shows a key. Keys are only ever added: old ones open what
they sealed until gateway.store.rotation has renewed it. Mode 0600, BSI TR-02102-1 key lengths.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

KEY_BYTES = 32
MAX_INDEX_VERSION = 0xFFFF


class VaultError(Exception):
    """A key or a sealed value is not what it should be. The text never holds a key or what was sealed."""


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """One reading of the ring. Numbers start at 1; 0 stands for a person's own data key."""

    sealing: Mapping[int, bytes]
    sealing_active: int
    index: Mapping[int, bytes]
    index_active: int
    body: bytes


class KeyRing:
    """The keys of one installation, and the file that they live in. Other processes' additions are noticed."""

    def __init__(self, path: Path, keys: Keys, stamp: tuple[int, ...]) -> None:
        self._path = path
        self._keys = keys
        self._stamp = stamp

    def __repr__(self) -> str:
        numbers = f"sealing {sorted(self._keys.sealing)}, index {sorted(self._keys.index)}"
        return f"KeyRing({numbers}, active {self._keys.sealing_active} and {self._keys.index_active})"

    @classmethod
    def create(cls, path: Path | str) -> Self:
        """Make a ring with fresh keys. Raises VaultError where a file already is: nothing is ever overwritten."""
        keys = Keys({1: _fresh()}, 1, {1: _fresh()}, 1, _fresh())
        try:
            _write(Path(path), keys)
        except FileExistsError:
            raise VaultError(f"there is already a key ring at {path}; losing it would lose every address") from None
        return cls.load(path)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a ring. Raises VaultError when it is missing, broken, or readable by others."""
        path = Path(path)
        try:
            stamp, text = _read(path)
        except FileNotFoundError:
            raise VaultError(f"there is no key ring at {path}") from None
        except OSError as error:
            raise VaultError(f"the key ring at {path} cannot be read: {error.strerror}") from None
        return cls(path, _decode(path, text), stamp)

    @property
    def keys(self) -> Keys:
        """The keys as the file has them now; a file that is away or half-written leaves the ones we have."""
        with suppress(OSError, VaultError):
            if _stamp(self._path.stat()) != self._stamp:
                stamp, text = _read(self._path)
                self._keys, self._stamp = _decode(self._path, text), stamp
        return self._keys

    def add_key(self) -> int:
        """Add a sealing key, make it the active one, save, and return its number. Old keys still open."""
        keys = self.keys
        number = max(keys.sealing) + 1
        self._save(replace(keys, sealing={**keys.sealing, number: _fresh()}, sealing_active=number))
        return number

    def add_index_key(self) -> int:
        """Add an index key, make it the active version, save, and return its number. Old versions still find."""
        keys = self.keys
        number = max(keys.index) + 1
        if number > MAX_INDEX_VERSION:
            raise VaultError("the key ring has no room for another index key")
        self._save(replace(keys, index={**keys.index, number: _fresh()}, index_active=number))
        return number

    def _save(self, keys: Keys) -> None:
        """Replace the file in one step; its ``.new`` also keeps two operators from changing it at once."""
        new = self._path.with_name(self._path.name + ".new")
        try:
            _write(new, keys)
        except FileExistsError:
            raise VaultError(f"somebody else is changing the key ring; if not, remove {new}") from None
        new.replace(self._path)
        _sync(self._path.parent)
        self._stamp = _stamp(self._path.stat())
        self._keys = keys


def _fresh() -> bytes:
    return os.urandom(KEY_BYTES)


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_ino, status.st_mtime_ns, status.st_size)


def _read(path: Path) -> tuple[tuple[int, ...], str]:
    with path.open(encoding="utf-8") as file:
        status = os.fstat(file.fileno())
        if status.st_mode & 0o077:
            raise VaultError(f"others can read the key ring at {path}: chmod 600 it")
        return _stamp(status), file.read()


def _write(path: Path, keys: Keys) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(_encode(keys), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _encode(keys: Keys) -> dict[str, Any]:
    return {
        "format": 1,
        "sealing": {str(number): _text(key) for number, key in keys.sealing.items()},
        "sealing_active": keys.sealing_active,
        "index": {str(number): _text(key) for number, key in keys.index.items()},
        "index_active": keys.index_active,
        "body": _text(keys.body),
    }


def _decode(path: Path, text: str) -> Keys:
    try:
        document = json.loads(text)
        if document["format"] != 1:
            raise VaultError(f"the key ring at {path} has a format that this version does not know")
        sealing = {_number(number): _key(key) for number, key in document["sealing"].items()}
        index = {_number(number): _key(key) for number, key in document["index"].items()}
        active = int(document["sealing_active"]), int(document["index_active"])
        if active[0] not in sealing or active[1] not in index:
            raise VaultError(f"the key ring at {path} names an active key that it does not hold")
        return Keys(sealing, active[0], index, active[1], _key(document["body"]))
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error):
        raise VaultError(f"the file at {path} is not a key ring") from None


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("numbers start at 1")
    return number


def _key(text: str) -> bytes:
    key = base64.b64decode(text, validate=True)
    if len(key) != KEY_BYTES:
        raise ValueError("a key has 32 bytes")
    return key


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode("ascii")
