"""Turn what a person or a form wrote into the one canonical address of a channel, or refuse it.

Never guesses: text that can be read in two ways is refused. Whether anybody is there is the provider's to say.
Forms: ITU-T E.164 by libphonenumber (region DE), RFC 5321 mailbox, Telegram's numeric chat id.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import email_validator
import phonenumbers

from channels.kit.contract import Address
from channels.kit.errors import AddressInvalid

REGION = "DE"  # how a number that starts with a single 0 is read
GERMANY = 49

_NUMBER = re.compile(r"\(?(?:\+|00|0)[0-9 ()/.\-]{3,30}")
_CHAT = re.compile(r"[1-9][0-9]{0,15}")
_CHAT_END = 2**52  # Telegram: "at most 52 significant bits"
_FIRST_PRINTABLE = 0x20
_DELETE = 0x7F
_MAX_MAILBOX = 254  # RFC 5321, 4.5.3.1.3, less the angle brackets


def mobile(raw: str, *, channel: str, countries: Collection[int] = (GERMANY,)) -> Address:
    """Return a mobile number in E.164 form.

    Accepted: ``+49 …``, ``0049 …`` and, read as German, ``0176 …``. ``countries``: calling codes that we send to.
    Raises AddressInvalid("ambiguous" | "not_a_number" | "not_mobile" | "country").
    """
    text = raw.strip(" ")
    if not _NUMBER.fullmatch(text):
        # without +, 00 or 0 in front nobody can tell 49… from a local number; letters and extensions are no number
        raise AddressInvalid("ambiguous" if text.lstrip("(")[:1].isdecimal() else "not_a_number")
    try:
        number = phonenumbers.parse(text, REGION)
    except phonenumbers.NumberParseException:
        raise AddressInvalid("not_a_number") from None  # its text quotes the number
    if not phonenumbers.is_valid_number(number):
        raise AddressInvalid("not_a_number")
    if phonenumbers.number_type(number) != phonenumbers.PhoneNumberType.MOBILE:
        # landline, free, premium, shared-cost and "landline or mobile": a text may go to nobody or cost somebody
        raise AddressInvalid("not_mobile")
    if number.country_code not in countries:
        raise AddressInvalid("country")
    return Address(channel, phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def mailbox(raw: str, *, channel: str) -> Address:
    """Return a mailbox with its domain in lower-case ASCII form (IDNA).

    No DNS look-up. Raises AddressInvalid("control_character" | "not_a_mailbox").
    """
    if any(ord(one) < _FIRST_PRINTABLE or ord(one) == _DELETE for one in raw):
        raise AddressInvalid("control_character")  # SMTP libraries trim them silently: the wrong person gets the mail
    try:
        found = email_validator.validate_email(
            raw.strip(" "), check_deliverability=False, allow_smtputf8=False, strict=True
        )
    except email_validator.EmailNotValidError:
        raise AddressInvalid("not_a_mailbox") from None  # its text quotes the address
    if found.ascii_email is None or len(found.ascii_email) > _MAX_MAILBOX:
        raise AddressInvalid("not_a_mailbox")
    return Address(channel, found.ascii_email)


def chat(raw: str, *, channel: str) -> Address:
    """Return the numeric id of a private chat.

    Names can be given to somebody else and groups (negative ids) hold other people: both are refused.
    Raises AddressInvalid("not_a_chat").
    """
    if not raw.isascii() or not _CHAT.fullmatch(raw) or int(raw) >= _CHAT_END:
        raise AddressInvalid("not_a_chat")
    return Address(channel, raw)
