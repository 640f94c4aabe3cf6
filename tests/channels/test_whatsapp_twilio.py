"""WhatsApp: what is special about it beyond the conformance suite (B-W2 to B-W14)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from channels.conformance import Act
from channels.conformance.bench import Bench
from channels.conformance.http_standin import Call, Reply
from channels.kit.contract import ApprovedTemplate, Button, Fact, Format, Kind, Message
from channels.kit.errors import Unsupported, WindowClosed
from channels.whatsapp_twilio import WhatsappTwilio
from gateway.egress import Http
from tests.channels.providers import TwilioStandin
from tests.channels.test_conformance import TestWhatsapp as Tapes

CONTENT = "HX" + "0123456789abcdef" * 2


class Scripted(TwilioStandin):
    """An account that takes approved texts."""

    reply: Reply | None = None

    def text_of(self, call: Call) -> str:
        """Return the body, if there is one."""
        return call.form.get("Body", "")

    def success(self, call: Call) -> Reply:
        """Return the scripted reply, if there is one."""
        return self.reply or super().success(call)


class Whatsapp(Bench):
    """The adapter against the scripted account."""

    adapter = WhatsappTwilio
    http = Http
    standin = Scripted
    good_addresses = {"0151 23456789": "+4915123456789"}  # noqa: RUF012  # read only


BENCH = Whatsapp()


async def test_free_text_over_the_wire():
    """Within the window the text goes as Body, in the messenger's markup, from and to whatsapp: numbers."""
    async with BENCH.playing(Act.ACCEPT) as (adapter, standin):
        said = Message(looks={Format.TEXT: "x", Format.MARKUP: "*fett*"}, sent_at=BENCH.message("x").sent_at)
        await adapter.send(adapter.encode(said, adapter.address_of("0151 23456789"), key="k"))
    (call,) = standin.calls
    assert call.form == {"To": "whatsapp:+4915123456789", "From": "whatsapp:+4915199999999", "Body": "*fett*"}


async def test_an_approved_text_over_the_wire():
    """B-W2, B-W3: an approved text goes by its id and its values, never as Body; its buttons are part of it."""
    approved = ApprovedTemplate(CONTENT, {"1": "Zoë", "2": 'Di, 16.03. "10:30"'})
    async with BENCH.playing(Act.ACCEPT) as (adapter, standin):
        request = BENCH.request(adapter, approved=approved, buttons=(Button("ja", "Ich komme"),), valid_s=60)
        await adapter.send(request)
    form = standin.calls[0].form
    assert form["ContentSid"] == CONTENT
    assert form["ContentVariables"] == '{"1":"Zoë","2":"Di, 16.03. \\"10:30\\""}'
    assert form["ValidityPeriod"] == "60"
    assert "Body" not in form


@pytest.mark.parametrize(
    ("identifier", "values"),
    [
        ("HX1", {"1": "x"}),
        (CONTENT, {"name": "x"}),
        (CONTENT, {"0": "x"}),
        (CONTENT, {"101": "x"}),
        (CONTENT, {"1": ""}),
        (CONTENT, {"1": "x" * 256}),
        (CONTENT, {"1": "a\nb"}),
        (CONTENT, {"1": "a\tb"}),
        (CONTENT, {"1": "a     b"}),
        (CONTENT, {"1": "\ud800"}),
    ],
)
def test_values_that_meta_refuses(identifier: str, values: dict[str, str]):
    """B-W6: positional values, 1 to 255 characters, no line break, tab or five blanks; refused here, not there."""
    with pytest.raises(Unsupported, match="approved"):
        BENCH.request(BENCH.built(), approved=ApprovedTemplate(identifier, values))


def test_the_real_text_of_an_approved_message_is_measured():
    """B-W5: 1024 characters with the real values, or 63021 at the provider: checked before."""
    approved = ApprovedTemplate(CONTENT, {"1": "x"})
    assert BENCH.request(BENCH.built(), "x" * 1024, approved=approved).form["content_sid"] == CONTENT
    with pytest.raises(Unsupported, match="text"):
        BENCH.request(BENCH.built(), "x" * 1025, approved=approved)


@pytest.mark.parametrize(
    ("buttons", "approved"),
    [
        ((Button("a", "Ja"),), None),  # free text carries none
        (tuple(Button(str(one), "Ja") for one in range(4)), ApprovedTemplate(CONTENT, {})),
        ((Button("a", "x" * 21),), ApprovedTemplate(CONTENT, {})),
    ],
)
def test_buttons_that_do_not_fit(buttons: tuple[Button, ...], approved: ApprovedTemplate | None):
    """B-W5: at most three quick replies of 20 characters, and only in an approved text."""
    with pytest.raises(Unsupported, match="buttons"):
        BENCH.request(BENCH.built(), buttons=buttons, approved=approved)


async def test_a_closed_window_is_its_own_class():
    """B-W2: 63016 tells the core to use the approved text, at once and by callback."""
    async with BENCH.playing(Act.ACCEPT) as (adapter, standin):
        standin.reply = Reply(400, {"code": 63016, "message": "x", "status": 400})
        with pytest.raises(WindowClosed):
            await adapter.send(BENCH.request(adapter))
    (receipt,) = BENCH.built().decode(Tapes().status("undelivered", ErrorCode="63016"))
    assert isinstance(receipt.error, WindowClosed)


def test_a_pressed_button():
    """A quick reply brings the id that we gave it and the message it answers; its label is only text."""
    more = {"ButtonPayload": "ack:9", "OriginalRepliedMessageSid": "SM9", "ProfileName": "<b>"}
    (event,) = BENCH.built().decode(Tapes().text_hook("Ich komme", **more))
    assert (event.kind, event.payload, event.reply_to, event.text) == (Kind.BUTTON, "ack:9", "SM9", "Ich komme")


def test_a_person_without_a_number():
    """B-W12: with a business-scoped id in place of the number, the message still has a sender."""
    (event,) = BENCH.built().decode(Tapes().text_hook("Hallo", From="whatsapp:DE.abc123"))
    assert event.sender.value == "DE.abc123"


def test_read_is_a_fact_of_whatsapp():
    """B-W14: read comes where the person allows it."""
    (receipt,) = BENCH.built().decode(Tapes().status("read"))
    assert receipt.fact is Fact.READ


@pytest.mark.parametrize("changed", [{"sender": "MTKInfo"}, {"sender": "whatsapp:+4915199999999"}])
def test_senders_that_stop_the_start(changed: dict[str, Any]):
    """The sender is a bare number: no name, no prefix."""
    with pytest.raises(ValidationError, match="sender"):
        BENCH.built(**changed)


def test_capabilities():
    """B-W2, B-W8, B-W9: the window, approved texts only, 10 a second, one a person in six, 250 people a day."""
    capabilities = WhatsappTwilio.capabilities
    assert (capabilities.window, capabilities.preapproved) == (timedelta(hours=24), True)
    assert {(one.scope, one.count, one.per_s) for one in capabilities.limits} == {
        ("account", 10, 1),
        ("recipient", 1, 6),
        ("people", 250, 86_400),
    }
