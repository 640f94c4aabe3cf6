"""What Twilio's error codes mean for us: one row a code, as data.

Classifies codes only; statuses without a code are :mod:`channels.kit.http`'s. Twilio advises against logic on its codes
because they change, so an unknown one is Refused and touches no address. Source: twilio.com/docs/api/errors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from channels.kit.errors import (
    AddressRefused,
    ChannelError,
    ContentRefused,
    Misconfigured,
    OptedOut,
    Refused,
    Throttled,
    Unavailable,
    WindowClosed,
)

# our narrower word -> class and codes; the word is what reports and staff texts are keyed by
_ROWS: tuple[tuple[type[ChannelError], str, tuple[int, ...]], ...] = (
    (AddressRefused, "no_such_number", (21211, 21214, 21217, 30005)),
    (AddressRefused, "not_mobile", (21614, 21635, 21265, 30006)),
    (AddressRefused, "not_on_channel", (63003, 63024)),  # a number without WhatsApp is still good for SMS
    (AddressRefused, "blocked_or_filtered", (30004,)),  # person or carrier, nobody knows: no withdrawal of consent
    (OptedOut, "opted_out", (21610,)),
    (OptedOut, "blocked", (63014,)),
    (ContentRefused, "too_long", (21617,)),
    (ContentRefused, "empty", (21602,)),
    (ContentRefused, "media", (21619, 21620, 63019)),
    (ContentRefused, "template", (21655, 21656, 63027, 63028, 63029, 63030)),
    (ContentRefused, "content", (63021,)),
    (ContentRefused, "filtered", (30007, 30038)),
    (ContentRefused, "policy", (63013,)),
    (WindowClosed, "window_closed", (63016,)),
    (Refused, "address_or_content", (63005,)),
    (Refused, "no_route", (21612,)),
    (Refused, "recipient_limit", (63032, 63049)),  # the platform's choice for this person, not the person's
    (Unavailable, "queue_full", (30001,)),
    (Unavailable, "not_reachable", (30003,)),
    (Unavailable, "unknown_to_carrier", (30008,)),
    (Unavailable, "provider_down", (30017, 63012, 21730)),
    (Throttled, "throttled", (20429, 63018, 63017, 21611, 30022)),
    (Throttled, "reply_loop", (14107,)),
    (Misconfigured, "credentials", (20003, 20005, 20006, 20404)),
    (Misconfigured, "account_suspended", (10001, 30002, 63051)),
    (Misconfigured, "quota", (63038,)),
    (Misconfigured, "sender", (21601, 21603, 21606, 21212, 21659, 21660, 21703, 21704, 30034, 63007, 63001)),
    (Misconfigured, "channel_set_up", (63008, 63010, 63020, 63022, 63025, 63033)),
    (Misconfigured, "country_not_enabled", (21408,)),  # the number itself is good
    (Misconfigured, "trial_account", (21608,)),
    (Misconfigured, "callback_url", (21609, 11200)),
)


def _flat() -> Iterator[tuple[int, tuple[type[ChannelError], str]]]:
    """Yield every code once."""
    for error, word, codes in _ROWS:
        for code in codes:
            yield code, (error, word)


CODES: Mapping[int, tuple[type[ChannelError], str]] = dict(_flat())
FIRST_CODE = 1000  # below it the library has put the HTTP status where a code should be


def by_code(code: int, *, retry_after_s: float | None = None) -> ChannelError:
    """Return the class of one Twilio error code; an unknown code is Refused, its number kept."""
    error, word = CODES.get(code, (Refused, "unknown_code"))
    return error(str(code), code=word, retry_after_s=retry_after_s)
