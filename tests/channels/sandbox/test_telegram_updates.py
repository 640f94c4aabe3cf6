"""Updates on their way: offsets, long polls, webhooks with their secret, and the conflicts between the two."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from telegram import Bot
from telegram.error import BadRequest, Conflict

CHAT = 712345678
SECRET_HEADER = "x-telegram-bot-api-secret-token"


async def write(control: Any, text: str) -> None:
    """Let the person write."""
    assert (await control.post("reply", {"channel": "telegram", "to": CHAT, "text": text}))[0] == 200


def texts(updates: Any) -> list[str]:
    """Return the texts of message updates."""
    return [one.message.text for one in updates]


async def test_updates_come_again_until_a_higher_offset(bot: Bot, control: Any) -> None:
    """Without an offset the same updates come again; an offset acknowledges all before it, a negative one counts."""
    for text in ("eins", "zwei", "drei"):
        await write(control, text)
    first = await bot.get_updates()
    assert texts(await bot.get_updates(limit=2)) == ["eins", "zwei"]
    assert texts(await bot.get_updates(offset=first[1].update_id)) == ["zwei", "drei"]
    assert texts(await bot.get_updates()) == ["zwei", "drei"]
    assert texts(await bot.get_updates(offset=-1)) == ["drei"]
    assert await bot.get_updates(offset=first[2].update_id + 1) == ()


async def test_a_long_poll_ends_with_the_first_update(bot: Bot, control: Any) -> None:
    """A poll with a timeout waits, and answers as soon as somebody writes."""
    poll = asyncio.create_task(bot.get_updates(timeout=20))
    done, _ = await asyncio.wait({poll}, timeout=0.2)
    assert not done
    await write(control, "da")
    assert texts(await asyncio.wait_for(poll, 5)) == ["da"]


async def test_only_one_poll_at_a_time(bot: Bot, sandbox: Any) -> None:
    """A second poll ends the first with 409, as when two processes poll for one bot."""
    async with Bot(sandbox.facts.telegram_token, base_url=sandbox.facts.telegram_base_url) as other:
        first = asyncio.create_task(bot.get_updates(timeout=20))
        await asyncio.wait({first}, timeout=0.2)
        second = asyncio.create_task(other.get_updates(timeout=1))
        with pytest.raises(Conflict, match="terminated by other getUpdates"):
            await asyncio.wait_for(first, 5)
        assert await second == ()


async def test_no_poll_beside_a_webhook(bot: Bot, webhook: Any) -> None:
    """Polling is 409 while a webhook is set, and works again when it is gone."""
    await bot.set_webhook(webhook.url)
    with pytest.raises(Conflict, match="webhook is active"):
        await bot.get_updates()
    await bot.delete_webhook()
    assert await bot.get_updates() == ()


async def test_a_webhook_gets_waiting_and_new_updates_with_the_secret(
    bot: Bot, control: Any, webhook: Any, until: Any
) -> None:
    """Updates that waited and new ones are posted as JSON with the secret header, and then wait no longer (B-T6)."""
    await write(control, "vorher")
    await bot.set_webhook(f"{webhook.url}/webhooks/tg", secret_token="Geheim_1-x")
    await write(control, "nachher")
    await until(lambda: len(webhook.calls) == 2)
    assert {one.json["message"]["text"] for one in webhook.calls} == {"vorher", "nachher"}
    assert {one.headers[SECRET_HEADER] for one in webhook.calls} == {"Geheim_1-x"}
    assert {one.path for one in webhook.calls} == {"/webhooks/tg"}

    async def nothing_waits() -> bool:
        return (await bot.get_webhook_info()).pending_update_count == 0

    await until(nothing_waits)


async def test_a_failed_webhook_is_tried_again(bot: Bot, control: Any, webhook: Any, until: Any) -> None:
    """Every answer but 2xx, also 4xx, is followed by another try with the same update id."""
    webhook.answers = [503, 403]
    await bot.set_webhook(webhook.url)
    await write(control, "Hallo")
    await until(lambda: len(webhook.calls) == 3)
    assert len({one.json["update_id"] for one in webhook.calls}) == 1
    assert not any(SECRET_HEADER in one.headers for one in webhook.calls)


async def test_a_deleted_webhook_gets_nothing_more(bot: Bot, control: Any, webhook: Any, until: Any) -> None:
    """After deleteWebhook an update that could not be posted comes by getUpdates."""
    webhook.answers = [500] * 50
    await bot.set_webhook(webhook.url)
    await write(control, "Hallo")
    await until(lambda: len(webhook.calls) >= 1)
    await bot.delete_webhook()
    assert texts(await bot.get_updates()) == ["Hallo"]


async def test_webhook_facts(bot: Bot, webhook: Any) -> None:
    """The webhook info tells address, kinds and connections; both verbs may be repeated."""
    for _ in range(2):
        await bot.set_webhook(webhook.url, allowed_updates=["message", "callback_query"], max_connections=7)
    told = await bot.get_webhook_info()
    assert (told.url, told.max_connections) == (webhook.url, 7)
    assert tuple(told.allowed_updates) == ("message", "callback_query")
    for _ in range(2):
        assert await bot.delete_webhook()
    assert (await bot.get_webhook_info()).url == ""


async def test_only_kinds_that_were_asked_for(bot: Bot, control: Any) -> None:
    """A kind outside allowed_updates never comes."""
    await bot.get_updates(allowed_updates=["callback_query"])
    await write(control, "Hallo")
    assert await bot.get_updates() == ()


async def test_pending_updates_can_be_dropped(bot: Bot, control: Any) -> None:
    """Deleting with drop_pending_updates empties the queue."""
    await write(control, "Hallo")
    await bot.delete_webhook(drop_pending_updates=True)
    assert await bot.get_updates() == ()


@pytest.mark.parametrize(
    ("url", "secret", "said"),
    [
        ("https://gateway.example/hook", None, "[Bb]ad webhook"),
        ("http://192.0.2.1/hook", None, "[Bb]ad webhook"),
        ("not a url", None, "[Bb]ad webhook"),
        ("http://127.0.0.1:1/hook", "mit Leerzeichen", "unallowed characters"),
        ("http://127.0.0.1:1/hook", "x" * 257, "unallowed characters"),
    ],
)
async def test_webhooks_that_cannot_be_set(bot: Bot, url: str, secret: str | None, said: str) -> None:
    """Addresses outside this machine and malformed secrets are refused, and no webhook is set."""
    with pytest.raises(BadRequest, match=said):
        await bot.set_webhook(url, secret_token=secret)
    assert (await bot.get_webhook_info()).url == ""
