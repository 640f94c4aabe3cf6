"""E-mail's way back: return addresses of our own, and what a mail to one of them means (B-E3, B-E5)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from channels.conformance.bench import KEY, NOW, StillClock
from channels.email_smtp import EmailSmtp
from channels.kit.contract import Fact, Format, Message, ReceivesMail
from channels.kit.errors import AddressRefused, Forged, Malformed, Unsupported
from gateway.egress import Http

SECRET = "kanarien-verp-secret-0123456789ab"
DOMAIN = "bounce.mtk.example"
MAILS = {path.stem: path.read_bytes() for path in (Path(__file__).parent / "dsn").glob("*.eml")}


def made(**options: Any) -> EmailSmtp:
    """Return the adapter."""
    given = {"host": "relay.example", "sender": "amt@mtk.example", **options}
    return EmailSmtp(EmailSmtp.Options(**given), http=Http(), clock=StillClock())


def receiving(secret: str = SECRET) -> EmailSmtp:
    """Return the adapter with return addresses of its own."""
    return made(bounce_domain=DOMAIN, verp_secret=secret)


def returned(adapter: EmailSmtp, key: str = KEY) -> str:
    """Return the envelope sender of a mail."""
    message = Message(looks={Format.TEXT: "Grüße"}, subject="Neue Nachricht", sent_at=NOW)
    return adapter.encode(message, adapter.address_of("anna@post.example"), key=key).envelope_sender


def test_each_mail_has_a_return_address_of_its_own():
    """B-E5: the envelope sender carries the delivery and a tag; what people see as sender stays."""
    adapter = receiving()
    assert isinstance(adapter, ReceivesMail)
    assert returned(adapter).startswith(f"b+{KEY}.")
    assert returned(adapter).endswith(f"@{DOMAIN}")
    assert adapter.key_of(returned(adapter)) == KEY
    with pytest.raises(Unsupported):
        returned(adapter, "k" * 42)


def test_without_a_bounce_domain_nothing_changes():
    """Bounces then go to a mailbox that people read, and no mail is ours to decode."""
    assert returned(made()) == "amt@mtk.example"
    assert returned(made(envelope_sender="post@mtk.example")) == "post@mtk.example"
    assert made().key_of(returned(receiving())) == ""
    with pytest.raises(Forged):
        made().decode_mail(MAILS["postfix_unknown"], returned(receiving()))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"bounce_domain": DOMAIN}, "belong together"),
        ({"verp_secret": SECRET}, "belong together"),
        ({"bounce_domain": DOMAIN, "verp_secret": "short"}, "at least 32"),
        ({"bounce_domain": "no domain", "verp_secret": SECRET}, "bounce_domain"),
        ({"bounce_domain": DOMAIN, "verp_secret": SECRET, "envelope_sender": "a@b.example"}, "one of them"),
    ],
)
def test_half_a_setting_is_refused_without_quoting_it(options: dict[str, str], complaint: str):
    """A return address that nobody can check, or that can be guessed, never comes to be; no secret is quoted."""
    with pytest.raises(ValidationError) as caught:
        made(**options)
    assert complaint in str(caught.value)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(receiving()._options)


def test_a_bounce_is_a_receipt_for_the_delivery_in_its_address():
    """The address says which, the report says why; who is named inside the mail does not matter."""
    adapter = receiving()
    [receipt] = adapter.decode_mail(MAILS["postfix_unknown"], returned(adapter))
    assert (receipt.key, receipt.fact, type(receipt.error)) == (KEY, Fact.FAILED, AddressRefused)
    assert receipt.provider_id == f"{KEY}@mtk.example"
    assert "zaunkoenig" not in repr(receipt)
    assert "zaunkoenig" not in str(receipt.error)


def test_event_ids_are_of_the_bounce_and_the_delivery():
    """The same mail twice is one event; two mails, or one mail sent to two return addresses, are two."""
    adapter = receiving()
    events = [
        adapter.decode_mail(MAILS[name], returned(adapter, key))[0].event_id
        for name, key in [("postfix_unknown", KEY), ("postfix_unknown", KEY), ("gmail_full_en", KEY)]
    ]
    other = adapter.decode_mail(MAILS["postfix_unknown"], returned(adapter, KEY[::-1]))[0].event_id
    assert events[0] == events[1]
    assert len({*events, other}) == 3
    assert max(len(one) for one in [*events, other]) <= 200


@pytest.mark.parametrize("name", ["postfix_delayed", "vacation_de", "reading_receipt_de", "answer_of_a_person_de"])
def test_what_decides_nothing_is_no_receipt(name: str):
    """B-E3: delays are information; automatic and human answers are ignored."""
    adapter = receiving()
    assert adapter.decode_mail(MAILS[name], returned(adapter)) == ()


def test_a_mail_to_an_address_that_we_did_not_make_is_forged():
    """A flipped character, another account's secret, or any other mailbox: the report inside is not even read."""
    adapter = receiving()
    good = returned(adapter)
    flipped = good.replace(KEY[0], "1", 1)
    for address in (flipped, returned(receiving("another-secret-0123456789abcdefgh")), "amt@mtk.example"):
        with pytest.raises(Forged):
            adapter.decode_mail(MAILS["postfix_unknown"], address)


def test_a_report_that_cannot_be_read_is_malformed():
    """An authentic address with nonsense behind it."""
    adapter = receiving()
    with pytest.raises(Malformed):
        adapter.decode_mail(MAILS["speaks_of_nobody_en"], returned(adapter))
