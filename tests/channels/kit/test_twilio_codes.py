"""Each Twilio code has one class, and an unknown one harms nobody (platforms: error map)."""

from __future__ import annotations

import pytest

from channels.kit import twilio_codes
from channels.kit.errors import ChannelError
from channels.kit.twilio_codes import CODES, by_code

# class: codes, as the provider documents them
TABLE = """
AddressRefused: 21211 21214 21217 21265 21614 21635 30004 30005 30006 63003 63024
OptedOut: 21610 63014
ContentRefused: 21602 21617 21619 21620 21655 21656 30007 30038 63013 63019 63021 63027 63028 63029 63030
WindowClosed: 63016
Refused: 21612 63005 63032 63049
Unavailable: 21730 30001 30003 30008 30017 63012
Throttled: 14107 20429 21611 30022 63017 63018
Misconfigured: 10001 11200 20003 20005 20006 20404 21212 21408 21601 21603 21606 21608 21609 21659 21660 21703 21704
Misconfigured: 30002 30034 63001 63007 63008 63010 63020 63022 63025 63033 63038 63051
"""
ROWS = [
    (int(code), name)
    for line in TABLE.strip().splitlines()
    for name, _, codes in [line.partition(": ")]
    for code in codes.split()
]


@pytest.mark.parametrize(("code", "name"), ROWS)
def test_known_codes(code: int, name: str):
    """Every documented code becomes exactly its class, and keeps its number."""
    error = by_code(code, retry_after_s=9.0)
    assert type(error).__name__ == name
    assert (error.provider_code, error.retry_after_s) == (str(code), 9.0)
    assert error.code not in ("", "channel_error")


def test_the_table_and_this_test_know_the_same_codes():
    """No code is classified without a row here, and none twice in the data."""
    assert sorted(CODES) == sorted(code for code, _ in ROWS)
    assert sum(len(codes) for _, _, codes in twilio_codes._ROWS) == len(CODES)


@pytest.mark.parametrize("code", [21999, 30999, 63999, 99999])
def test_unknown_codes_touch_no_address(code: int):
    """A code of tomorrow is a plain refusal, kept raw: nobody is suppressed and no account is paused."""
    error = by_code(code)
    assert type(error).__name__ == "Refused"
    assert (error.code, error.provider_code) == ("unknown_code", str(code))
    assert isinstance(error, ChannelError)
