"""What a mail server's replies mean for us, by the phase in which they come: one row a kind, as data.

Opens no connection. Enhanced status first, basic code second: servers are freer with the latter.
RFC 5321, 4.2 (codes), RFC 3463 (x.y.z); wordings of relay refusals as seen at Postfix.
"""

from __future__ import annotations

import re
from enum import StrEnum

from channels.kit.errors import (
    AddressRefused,
    ChannelError,
    ContentRefused,
    Misconfigured,
    Refused,
    Throttled,
    Unavailable,
    Uncertain,
)


class Phase(StrEnum):
    """How far a transaction has come. CONNECT includes greeting, EHLO, TLS and login."""

    CONNECT = "connect"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"


# phases, reply ("code x.y.z text", lower case), class, our word; the first row that fits wins
_ANY, _ENVELOPE, _CONTENT = "connect mail rcpt data", "mail rcpt data", "rcpt data"
REPLIES: tuple[tuple[str, re.Pattern[str], type[ChannelError], str], ...] = tuple(
    (phases, re.compile(pattern, re.DOTALL), error, word)
    for phases, pattern, error, word in (
        (_ANY, r"421 4\.7\.0|4\d\d 4\.7\.\d+ .*\b(rate|too many|too fast|throttl|limit)", Throttled, "throttled"),
        (_ENVELOPE, r"454", Throttled, "throttled"),
        (_ANY, r"4\d\d 4\.2\.2", Unavailable, "mailbox_full"),
        (_ANY, r"45[01] 4\.7\.1", Unavailable, "greylisted"),
        (_ANY, r"4", Unavailable, "not_now"),
        ("connect", r"53", Misconfigured, "credentials"),
        ("connect", r"5", Misconfigured, "relay_refuses_us"),
        ("mail", r"552|5\d\d 5\.3\.4|5\d\d 5\.2\.3", ContentRefused, "too_large"),
        ("mail", r"53", Misconfigured, "credentials"),
        ("mail", r"5", Misconfigured, "sender"),
        (_CONTENT, r"53[0458]", Misconfigured, "credentials"),
        ("rcpt", r"5\d\d (5\.7\.\d+|(?!5\.\d)).*(\brelay|access denied)", Misconfigured, "relay_denied"),
        (_CONTENT, r"5\d\d 5\.1\.(1|2|3|6|10)\b", AddressRefused, "no_such_mailbox"),
        (_CONTENT, r"5\d\d 5\.2\.1\b", AddressRefused, "mailbox_disabled"),
        (_CONTENT, r"5\d\d 5\.4\.4\b", Refused, "no_such_domain"),  # may be our resolver: the address is not touched
        (_CONTENT, r"5\d\d 5\.2\.2\b", Unavailable, "mailbox_full"),
        (_CONTENT, r"5\d\d 5\.(2\.3|3\.4)\b|552", ContentRefused, "too_large"),
        (_CONTENT, r"5\d\d 5\.6\.", ContentRefused, "content"),
        ("data", r"5\d\d 5\.7\.", ContentRefused, "policy"),
        ("rcpt", r"5\d\d 5\.7\.", Refused, "policy"),
        (_ANY, r"5", Refused, "unknown_reply"),
    )
)
_QUOTED = re.compile(r"<[^>]*>")  # an address must not decide by the words in it
_STATUS = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b")


def of_reply(code: int, text: str, phase: Phase) -> ChannelError:
    """Return the class of an SMTP reply. ``text``: what follows the code. An unknown code changes no address."""
    status = _STATUS.match(text)
    provider_code = f"{code} {status[1]}" if status else str(code)
    reply = f"{code} {_QUOTED.sub('', text).strip().lower()}"
    for phases, pattern, error, word in REPLIES:
        if phase in phases.split() and pattern.match(reply):
            return error(provider_code, code=word)
    return Uncertain(provider_code) if phase is Phase.DATA else Refused(provider_code)
