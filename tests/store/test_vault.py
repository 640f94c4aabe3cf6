"""Sealing, blind indexes and the key ring: what is moved, changed or sealed with another key does not open (A-17)."""

from __future__ import annotations

import stat
import traceback
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.store.keyring import KeyRing, VaultError
from gateway.store.vault import Vault

CANARY = b"kanarienvogel@example.org"
CELL = {"table": "contact_points", "row": "p1", "column": "address_sealed"}


def test_what_was_sealed_opens_in_its_place(vault: Vault):
    """Sealing and opening give the value back, with the ring's key and with a person's; no two seals are alike."""
    key = vault.new_data_key()
    for own in (None, key):
        sealed = vault.seal(CANARY, **CELL, data_key=own)
        assert CANARY not in sealed
        assert sealed != vault.seal(CANARY, **CELL, data_key=own)
        assert vault.open(sealed, **CELL, data_key=own) == CANARY


@pytest.mark.parametrize("part", ["table", "row", "column"])
@pytest.mark.parametrize("own", [True, False])
def test_a_moved_value_does_not_open(vault: Vault, part: str, own: bool):
    """A value copied to another table, row or column is refused: nobody can swap two people's addresses."""
    key = vault.new_data_key() if own else None
    sealed = vault.seal(CANARY, **CELL, data_key=key)
    with pytest.raises(VaultError):
        vault.open(sealed, **CELL | {part: "other"}, data_key=key)


def test_no_two_cells_share_a_name(vault: Vault):
    """Parts that read alike when joined are still different cells."""
    sealed = vault.seal(CANARY, table="a", row=("b", "c"), column="d")
    for row in ("bc", "b|c", "b/c", ("b", "c", ""), ("", "b", "c"), ("bc",)):
        with pytest.raises(VaultError):
            vault.open(sealed, table="a", row=row, column="d")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_flipped_bit_does_not_open(vault: Vault, data: st.DataObject):
    """Any single changed bit, in version, key number, nonce, text or tag, is refused."""
    sealed = bytearray(vault.seal(CANARY, **CELL))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(VaultError):
        vault.open(bytes(sealed), **CELL)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80))
def test_rubbish_does_not_open(vault: Vault, rubbish: bytes):
    """Bytes that were never sealed raise VaultError and nothing else."""
    with pytest.raises(VaultError):
        vault.open(rubbish, **CELL)


def test_another_persons_key_does_not_open(vault: Vault):
    """A data key opens only what it sealed, and its absence is said clearly."""
    sealed = vault.seal(CANARY, **CELL, data_key=vault.new_data_key())
    with pytest.raises(VaultError, match="changed, moved"):
        vault.open(sealed, **CELL, data_key=vault.new_data_key())
    with pytest.raises(VaultError, match="data key, which was not given"):
        vault.open(sealed, **CELL)


def test_a_wrapped_data_key_belongs_to_its_person(vault: Vault):
    """A data key opens for the subject it was wrapped for and for nobody else."""
    key = vault.new_data_key()
    sealed = vault.seal_data_key("anna", key)
    assert vault.open_data_key("anna", sealed) == key
    with pytest.raises(VaultError):
        vault.open_data_key("bert", sealed)
    with pytest.raises(VaultError, match="32 bytes"):
        vault.seal_data_key("anna", b"short")


def test_a_new_key_seals_and_old_ones_still_open(vault: Vault, ring: KeyRing):
    """After ``add_key`` new values carry the new number, and older values still open."""
    old = vault.seal(CANARY, **CELL)
    assert ring.add_key() == 2
    new = vault.seal(CANARY, **CELL)
    assert (old[1:5], new[1:5]) == (b"\0\0\0\1", b"\0\0\0\2")
    assert vault.open(old, **CELL) == vault.open(new, **CELL) == CANARY


def test_another_process_learns_of_a_new_key_at_once(vault: Vault, tmp_path: Path):
    """A ring changed by another process is noticed before the next value is sealed, opened or looked up."""
    operator = Vault(ring := KeyRing.load(tmp_path / "ring.json"))
    ring.add_key()
    ring.add_index_key()
    assert vault.open(operator.seal(CANARY, **CELL), **CELL) == CANARY
    assert vault.seal(CANARY, **CELL)[1:5] == b"\0\0\0\2"
    assert operator.index("sms", "+491") in vault.indexes("sms", "+491")


def test_a_ring_that_breaks_while_serving_keeps_its_keys(vault: Vault, tmp_path: Path):
    """A half-written or missing file does not stop a running process."""
    sealed = vault.seal(CANARY, **CELL)
    (tmp_path / "ring.json").write_text("{")
    assert vault.open(sealed, **CELL) == CANARY
    (tmp_path / "ring.json").unlink()
    assert vault.open(sealed, **CELL) == CANARY


def test_an_index_is_stable_and_says_nothing(vault: Vault, ring: KeyRing):
    """The same address gives the same index under one key; channel, address and installation change it."""
    index = vault.index("sms", "+4915112345678")
    assert index == vault.index("sms", "+4915112345678")
    assert index[:2] == b"\0\1"
    assert index not in {vault.index("sms", "+4915112345679"), vault.index("whatsapp", "+4915112345678")}
    assert vault.index("sm", "s1") != vault.index("sms", "1")
    ring.add_index_key()
    assert vault.indexes("sms", "+4915112345678") == [vault.index("sms", "+4915112345678"), index]


def test_bodies_are_compared_by_a_keyed_hash(vault: Vault, tmp_path: Path):
    """The same body compares equal, another does not, and another installation's hash differs."""
    known = vault.body_hash(b'{"a":1}')
    assert vault.same_body(known, b'{"a":1}')
    assert not vault.same_body(known, b'{"a":2}')
    assert not Vault(KeyRing.create(tmp_path / "other.json")).same_body(known, b'{"a":1}')


def test_no_secret_is_shown(vault: Vault, ring: KeyRing, tmp_path: Path):
    """Neither reprs nor errors hold a key or what was sealed (house rule 12)."""
    secrets = [*ring.keys.sealing.values(), *ring.keys.index.values(), ring.keys.body]
    texts = [repr(vault), str(vault), repr(ring), repr(ring.keys)]
    sealed = vault.seal(CANARY, **CELL)
    try:
        vault.open(sealed, **CELL | {"row": "p2"})
    except VaultError as error:
        texts.append("".join(traceback.format_exception(error)))
    stored = (tmp_path / "ring.json").read_text()
    for text in texts:
        assert "kanarienvogel" not in text
        assert not [line for line in stored.splitlines() if '=",' in line and line.strip() in text]
        assert not [one for one in secrets if repr(one)[2:-1] in text or one.hex() in text]


def test_a_ring_is_private_and_never_overwritten(tmp_path: Path):
    """The file has mode 0600, survives a second ``create``, and a readable one is refused with the remedy."""
    path = tmp_path / "ring.json"
    KeyRing.create(path)
    before = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(VaultError, match="already a key ring"):
        KeyRing.create(path)
    assert path.read_bytes() == before
    path.chmod(0o640)
    with pytest.raises(VaultError, match="chmod 600"):
        KeyRing.load(path)


def test_adding_keys_keeps_the_file_private_and_whole(ring: KeyRing, tmp_path: Path):
    """After rotations the file is still 0600 and holds all keys; an interrupted change is named, not repeated."""
    ring.add_key()
    ring.add_index_key()
    path = tmp_path / "ring.json"
    again = KeyRing.load(path).keys
    assert (sorted(again.sealing), sorted(again.index)) == ([1, 2], [1, 2])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (tmp_path / "ring.json.new").touch()
    with pytest.raises(VaultError, match=r"remove .*ring\.json\.new"):
        ring.add_key()
    assert sorted(KeyRing.load(path).keys.sealing) == [1, 2]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 2}',
        '{"format": 1, "sealing": {"1": "YQ=="}, "sealing_active": 1, "index": {}, "index_active": 1, "body": ""}',
    ],
)
def test_a_broken_ring_is_refused(tmp_path: Path, text: str):
    """What is not a key ring is refused at the start with its path, and without its content."""
    path = tmp_path / "ring.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(VaultError, match=r"ring\.json"):
        KeyRing.load(path)


def test_a_missing_ring_is_named(tmp_path: Path):
    """No ring is made in silence: an empty folder and a lost ring look alike, and only one of them is harmless."""
    with pytest.raises(VaultError, match="there is no key ring"):
        KeyRing.load(tmp_path / "ring.json")
