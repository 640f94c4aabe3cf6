"""Rules: order, times, addresses in every spelling, and shapes."""

from __future__ import annotations

from typing import Any

import pytest

from channels.sandbox.rules import Malformed, Rules, read_rules


def rules(*items: dict[str, Any]) -> Rules:
    """Return rules made of control bodies."""
    made = Rules()
    made.add(read_rules(list(items)))
    return made


def codes(made: Rules, channel: str, to: str, count: int) -> list[int | None]:
    """Take ``count`` outcomes and return their codes."""
    return [one.code if one else None for one in (made.take(channel, to) for _ in range(count))]


def rule(to: str, code: int, times: int | None = None, channel: str = "sms") -> dict[str, Any]:
    """Return the body of one order."""
    return {"channel": channel, "to": to, "outcome": {"http": 400, "code": code}, "times": times}


def test_times_run_out_and_the_next_order_follows() -> None:
    """The oldest order for an address is spent first, then the next, then the one for everybody, which stays."""
    made = rules(rule("*", 9), rule("+4915735990001", 1, 2), rule("+4915735990001", 2, 1))
    assert codes(made, "sms", "+4915735990001", 5) == [1, 1, 2, 9, 9]
    assert codes(made, "sms", "+4915735990002", 1) == [9]
    assert codes(made, "whatsapp", "+4915735990001", 1) == [None]
    assert len(made) == 1


@pytest.mark.parametrize(
    ("channel", "ordered", "asked"),
    [
        ("whatsapp", "whatsapp:+4915735990001", "+4915735990001"),
        ("whatsapp", "+4915735990001", "whatsapp:+4915735990001"),
        ("telegram", "712345678", "712345678"),
    ],
)
def test_addresses_match_in_every_spelling(channel: str, ordered: str, asked: str) -> None:
    """A channel prefix makes no difference."""
    assert codes(rules(rule(ordered, 1, channel=channel)), channel, asked, 1) == [1]


def test_orders_for_another_place_wait() -> None:
    """An order for DATA is not spent at RCPT."""
    refused = {"reply": "451 4.7.1 later", "at": "data"}
    made = rules({"channel": "email", "to": "A@Post.example", "outcome": refused, "times": 1})
    assert made.take("email", "a@post.example", at="rcpt") is None
    assert made.take("email", "a@post.example", at="data") is not None
    assert made.take("email", "a@post.example", at="data") is None


@pytest.mark.parametrize(
    ("item", "pointer"),
    [
        (7, "/0"),
        ({"channel": "sms", "to": "", "outcome": {"http": 400}}, "/0/to"),
        ({"channel": "sms", "to": "*", "outcome": {"http": 400}, "times": 0}, "/0/times"),
        ({"channel": "sms", "to": "*", "outcome": {"http": 400}, "time": 1}, "/0/time"),
        ({"channel": "sms", "to": "*", "outcome": None}, "/0/outcome"),
        ({"channel": "sms", "to": "*", "outcome": {"code": 21211}}, "/0/outcome"),
        ({"channel": "sms", "to": "*", "outcome": {"http": 200}}, "/0/outcome/http"),
        ({"channel": "sms", "to": "*", "outcome": {"http": "400"}}, "/0/outcome/http"),
        ({"channel": "sms", "to": "*", "outcome": {"status": "lost"}}, "/0/outcome/status"),
        ({"channel": "sms", "to": "*", "outcome": {"reply": "550 x"}}, "/0/outcome/reply"),
        ({"channel": "email", "to": "*", "outcome": {"reply": "250 ok"}}, "/0/outcome/reply"),
        ({"channel": "email", "to": "*", "outcome": {"reply": "550 x\r\nDATA"}}, "/0/outcome/reply"),
        ({"channel": "email", "to": "*", "outcome": {"reply": "550 x", "at": "mail"}}, "/0/outcome/at"),
        ({"channel": "email", "to": "*", "outcome": {"http": 400}}, "/0/outcome/http"),
        ({"channel": "telegram", "to": "*", "outcome": {"http": 400, "description": 7}}, "/0/outcome/description"),
        ({"channel": "telegram", "to": "*", "outcome": {"fault": "explode"}}, "/0/outcome/fault"),
    ],
)
def test_wrong_shapes_are_named(item: Any, pointer: str) -> None:
    """Each mistake is refused with a pointer to it; nothing is guessed."""
    with pytest.raises(Malformed) as refused:
        read_rules([item])
    assert refused.value.pointer == pointer


def test_there_is_a_most() -> None:
    """More than 50,000 orders are refused as a whole."""
    made = Rules()
    many = read_rules([rule("*", 1)]) * 30_000
    made.add(many)
    with pytest.raises(Malformed):
        made.add(many)
    assert len(made) == 30_000
    made.clear()
    assert len(made) == 0
