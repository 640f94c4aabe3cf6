"""Return addresses: what we made is recognised however it is spelled, and nothing else is (B-E5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.conformance.bench import KEY
from channels.kit.errors import Forged
from channels.kit.verp import MAX_KEY, key_of, return_address

DOMAIN = "bounce.mtk.example"
SECRET = "0123456789abcdef0123456789abcdef"
MADE = return_address(KEY, domain=DOMAIN, secret=SECRET)


def read(address: str, secret: str = SECRET) -> str:
    """Return the key in an address."""
    return key_of(address, domain=DOMAIN, secret=secret)


def test_an_address_of_ours_gives_its_key_back():
    """B-E5: ``b+<delivery>.<tag>@bounce.host``, the same each time, short enough for every server."""
    assert read(MADE) == KEY
    assert MADE.startswith(f"b+{KEY}.")
    assert return_address(KEY, domain=DOMAIN, secret=SECRET) == MADE
    assert len(MADE.partition("@")[0]) <= 64


def test_the_longest_key_just_fits():
    """The limit of 64 octets before the @ is used up, not crossed."""
    made = return_address("k" * MAX_KEY, domain=DOMAIN, secret=SECRET)
    assert len(made.partition("@")[0]) == 64
    assert read(made) == "k" * MAX_KEY


def test_servers_may_change_upper_and_lower_case():
    """Some write addresses in capitals; the key comes back as we wrote it."""
    assert read(MADE.upper()) == read(MADE.swapcase()) == KEY


@pytest.mark.parametrize(
    "address",
    ["", "@", "postmaster@bounce.mtk.example", "amt@mtk.example", MADE.replace("bounce", "bounty"), "b+", KEY],
)
def test_other_addresses_are_not_ours(address: str):
    """Whatever does not look like one of ours at our domain is nobody's, and no forgery."""
    assert read(address) == ""


@pytest.mark.parametrize("position", range(len(MADE.partition("@")[0])))
def test_one_changed_character_makes_a_forgery(position: int):
    """Each character of key and tag counts; a change in the first two makes it no address of ours."""
    other = "x" if MADE[position] != "x" else "y"
    changed = f"{MADE[:position]}{other}{MADE[position + 1 :]}"
    if position < 2:
        assert read(changed) == ""
    else:
        with pytest.raises(Forged):
            read(changed)


def test_another_secret_makes_a_forgery():
    """Who does not have the account's secret cannot make its addresses."""
    with pytest.raises(Forged):
        read(MADE, "another secret of at least 32 characters")


@given(st.text(max_size=80))
def test_any_text_is_answered(local: str):
    """No spelling raises anything but Forged, and none is taken for ours by chance."""
    try:
        assert read(f"{local}@{DOMAIN}") == ""
        assert read(f"b+{local}@{DOMAIN}") == ""
    except Forged:
        pass
