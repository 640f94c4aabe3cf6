"""Telegram through the Bot API with python-telegram-bot's bare ``Bot``.

Private chats only, text and inline buttons only; it reports no delivery. Binding a chat to a person is the core's.
Bot API: core.telegram.org/bots/api; error texts as in the public Bot API server's source.
"""

from __future__ import annotations

import hmac
import html
import logging
import re
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from pydantic import Field, SecretStr, field_validator
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, LinkPreviewOptions
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    EndPointNotFound,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
)
from telegram.request import BaseRequest, RequestData

from channels.kit.addresses import chat
from channels.kit.contract import (
    AdapterOptions,
    Address,
    Button,
    Capabilities,
    Clock,
    Confidentiality,
    Dataflow,
    Format,
    Health,
    HttpClient,
    Inbound,
    Kind,
    Limit,
    Measure,
    Message,
    Request,
    Submission,
    WebhookRequest,
)
from channels.kit.errors import (
    AddressRefused,
    ChannelError,
    ContentRefused,
    Forged,
    HttpFailure,
    Misconfigured,
    Throttled,
    Uncertain,
    Unsupported,
    scrubbed,
)
from channels.kit.http import BaseUrl, Head, Witness, failure, refusal
from channels.kit.measure import units
from channels.kit.telegram import CHANNEL, HARMLESS, UPDATES, of_text, read, wait_s

for _name, _level in (
    ("httpx", logging.WARNING),  # shows the token in URLs at INFO
    ("httpcore", logging.WARNING),
    ("telegram", logging.WARNING),  # shows token and texts at DEBUG
    ("telegram.request", logging.CRITICAL),  # shows whole payloads when an answer is unreadable
):
    logging.getLogger(_name).setLevel(_level)

_MAX_TEXT, _MAX_BUTTONS, _MAX_LABEL, _MAX_DATA_BYTES = 4096, 8, 64, 64
_TAG = re.compile(r"<[^<>]*>")
_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|#\d+|#x[0-9a-fA-F]+);")  # all that Telegram knows
_TOKEN = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{1,100}")
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")
_TOO_MANY, _TOO_LARGE, _REFUSAL = 429, 413, 300


class TelegramOptions(AdapterOptions):
    """One bot. Both secrets are needed: without a webhook secret anybody could speak for our recipients."""

    token: SecretStr = Field(description="the bot's, from BotFather")
    webhook_secret: SecretStr = Field(
        description="yours: 1 to 256 letters, digits, _ and -; comes back with every call"
    )
    previous_webhook_secret: SecretStr | None = Field(None, description="still accepted")
    base_url: BaseUrl = Field(
        "https://api.telegram.org/bot", description="where the API is; the token follows directly"
    )
    connect_s: float = Field(5.0, description="seconds until a connection must stand")

    @field_validator("token")
    @classmethod
    def _token_form(cls, token: SecretStr) -> SecretStr:
        if not _TOKEN.fullmatch(token.get_secret_value()):
            raise ValueError("must be a bot's token, such as 123456:AbC")
        return token

    @field_validator("webhook_secret", "previous_webhook_secret")
    @classmethod
    def _secret_form(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and not _SECRET.fullmatch(secret.get_secret_value()):
            raise ValueError("must be 1 to 256 characters of A-Z a-z 0-9 _ -")
        return secret


@dataclass(frozen=True, slots=True, kw_only=True)
class TelegramRequest(Request):
    """One sendMessage. ``parse_mode``: "HTML" or None."""

    text: str = field(repr=False)
    parse_mode: str | None
    link_preview: bool
    buttons: tuple[Button, ...] = field(repr=False)


class TelegramBot:
    """Telegram messages by a bot, each to one private chat."""

    Options: ClassVar[type[AdapterOptions]] = TelegramOptions
    capabilities: ClassVar[Capabilities] = Capabilities(
        channel=CHANNEL,
        formats=(Format.CHAT_HTML, Format.TEXT),
        measure=Measure.UTF16,
        max_units=_MAX_TEXT,
        inbound=frozenset({Kind.TEXT, Kind.BUTTON, Kind.STOP, Kind.JOIN, Kind.MEDIA}),
        max_buttons=_MAX_BUTTONS,
        max_button_characters=_MAX_LABEL,
        limits=(Limit("account", 25, per_s=1), Limit("recipient", 1, per_s=1)),
        bound=True,
        ceiling=Confidentiality.K2,
        default_ceiling=Confidentiality.K1,
        dataflow=Dataflow("Telegram", "AE/GB", ("chat id", "text")),
    )

    def __init__(self, options: TelegramOptions, *, http: HttpClient, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._witness = Witness(http)
        wire = _Wire(self._witness, connect_s=options.connect_s, total_s=options.deadline_s)
        token = options.token.get_secret_value()
        self._bot = Bot(token, base_url=options.base_url, request=wire, get_updates_request=wire)
        secrets = (options.webhook_secret, options.previous_webhook_secret)
        self._secrets = [one.get_secret_value().encode() for one in secrets if one is not None]

    def address_of(self, raw: str) -> Address:
        """Return the chat id. Raises AddressInvalid for names, groups and anything else."""
        return chat(raw, channel=CHANNEL)

    def encode(self, message: Message, to: Address, *, key: str, callback_url: str = "") -> TelegramRequest:  # noqa: ARG002  # there are no receipts
        """Return the call. Raises Unsupported("text" | "buttons" | "approved"); cuts nothing."""
        if message.approved is not None:
            raise Unsupported("approved")
        look, text = message.look(self.capabilities.formats)
        shown = _shown(text) if look is Format.CHAT_HTML else text
        if not shown.strip() or units(shown, Measure.UTF16) > _MAX_TEXT:
            raise Unsupported("text")
        if len(message.buttons) > _MAX_BUTTONS or not all(_sayable(one) for one in message.buttons):
            raise Unsupported("buttons")
        return TelegramRequest(
            key=key,
            to=to.value,
            text=text,
            parse_mode="HTML" if look is Format.CHAT_HTML else None,
            link_preview=message.link_preview,
            buttons=message.buttons,
        )

    async def send(self, request: TelegramRequest) -> Submission:
        """Call sendMessage once. Raises one ChannelError."""
        rows = [
            [InlineKeyboardButton(one.label, url=one.url or None, callback_data=None if one.url else one.id)]
            for one in request.buttons
        ]
        try:
            taken = await self._bot.send_message(
                int(request.to),
                request.text,
                parse_mode=request.parse_mode,
                link_preview_options=LinkPreviewOptions(is_disabled=not request.link_preview),
                reply_markup=InlineKeyboardMarkup(rows) if rows else None,
            )
            return Submission(str(int(taken.message_id)))  # counted per bot over all private chats
        except Exception as exc:  # noqa: BLE001  # nothing but a ChannelError leaves send
            raise self._translated(exc) from scrubbed(exc)

    def verify(self, hook: WebhookRequest) -> None:
        """Raise Forged unless the call carries the current or the previous secret; bytes, so that any text compares."""
        given = hook.headers.get("x-telegram-bot-api-secret-token", "").encode("utf-8", "surrogateescape")
        if not any([hmac.compare_digest(given, one) for one in self._secrets]):  # noqa: C419  # compare all, always
            raise Forged("secret")

    def decode(self, hook: WebhookRequest) -> Sequence[Inbound]:
        """Return what an update says; nothing for groups, other bots and updates that we did not ask for."""
        found = read(hook.body)
        return () if found is None else (found,)

    async def acknowledge(self, inbound: Inbound) -> None:
        """Stop the waiting sign on a pressed button and take the buttons away; may be repeated. Raises ChannelError."""
        query = inbound.event_id.partition(":")[2]
        if inbound.kind is not Kind.BUTTON or not query:
            return
        await self._called(self._bot.answer_callback_query(query))
        if inbound.reply_to:
            chat_id, message_id = int(inbound.sender.value), int(inbound.reply_to)
            await self._called(self._bot.edit_message_reply_markup(chat_id, message_id))

    async def install(self, url: str) -> None:
        """Have updates posted to ``url``, with our secret. Raises ChannelError."""
        secret = self._options.webhook_secret.get_secret_value()
        await self._called(self._bot.set_webhook(url, allowed_updates=list(UPDATES), secret_token=secret))

    async def remove(self) -> None:
        """Have updates posted nowhere. Raises ChannelError."""
        await self._called(self._bot.delete_webhook())

    async def _called(self, call: Awaitable[object]) -> None:
        """Await a call whose answer says nothing; one that came too late or changed nothing is done."""
        try:
            await call
        except Exception as exc:  # noqa: BLE001  # only a ChannelError leaves
            if not any(one in str(exc).lower() for one in HARMLESS):
                raise self._translated(exc) from scrubbed(exc)

    async def probe(self) -> Health:
        """Call getMe."""
        try:
            await self._bot.get_me()
        except Exception as exc:  # noqa: BLE001  # a probe raises nothing
            error = self._translated(exc)
            refused = isinstance(error, Misconfigured)
            return Health(ok=False, advice="the token is refused" if refused else f"no usable answer ({error.code})")
        return Health(ok=True)

    async def close(self) -> None:
        """Nothing of its own to give back: the HTTP client is the core's."""

    def _translated(self, exc: Exception) -> ChannelError:
        return translate(exc, self._witness.last(), now=self._clock.now())


class _Flood(TelegramError):
    """429. The SDK's own RetryAfter warns on every use, and a 429 without a figure is a bare NetworkError there."""

    def __init__(self, wait_s: float | None) -> None:
        super().__init__("429")
        self.wait_s = wait_s


class _Wire(BaseRequest):
    """The SDK's transport over the core's HTTP client: real time-outs, one request, nothing logged."""

    def __init__(self, http: HttpClient, *, connect_s: float, total_s: float) -> None:
        self._http = http
        self._connect_s = connect_s
        self._total_s = total_s

    @property
    def read_timeout(self) -> float | None:
        """Return the whole time of a call, in seconds."""
        return self._total_s

    async def initialize(self) -> None:
        """Do nothing: the HTTP client is the core's."""

    async def shutdown(self) -> None:
        """Do nothing: the HTTP client is the core's."""

    async def do_request(  # noqa: PLR0917  # the SDK's signature
        self,
        url: str,
        method: str,
        request_data: RequestData | None = None,
        read_timeout: object = None,  # noqa: ARG002  # ours come from the options
        write_timeout: object = None,  # noqa: ARG002
        connect_timeout: object = None,  # noqa: ARG002
        pool_timeout: object = None,  # noqa: ARG002
    ) -> tuple[int, bytes]:
        """Make the request and hand the answer to the SDK, which turns it into its exceptions."""
        answer = await self._http.request(
            method,
            url,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=request_data.url_encoded_parameters().encode() if request_data else b"",
            connect_s=min(self._connect_s, self._total_s),
            total_s=self._total_s,
        )
        if answer.status == _TOO_MANY:
            raise _Flood(wait_s(answer.body))
        return answer.status, answer.body


# what the SDK raises, most specific first: BadRequest and TimedOut are NetworkErrors there
_SAID: tuple[tuple[type[TelegramError], type[ChannelError], str], ...] = (
    (RetryAfter, Throttled, "throttled"),
    (ChatMigrated, AddressRefused, "not_private"),  # a group: we write to private chats only
    (InvalidToken, Misconfigured, "credentials"),  # 401 and 404
    (EndPointNotFound, Misconfigured, "base_url"),
    (Conflict, Misconfigured, "polled_elsewhere"),
)


def translate(exc: Exception, head: Head | None, *, now: datetime) -> ChannelError:
    """Return the class of whatever the SDK raised. ``head``: of the answer, because a NetworkError drops its status."""
    if isinstance(exc.__cause__, HttpFailure):
        return failure(exc.__cause__)
    status = head.status if head else 0
    if isinstance(exc, _Flood):
        return Throttled(str(status), retry_after_s=exc.wait_s)
    if isinstance(exc, BadRequest | Forbidden):  # 403 is about the person here, not about credentials
        return of_text(exc.message, status)
    row = next(((error, word) for cls, error, word in _SAID if isinstance(exc, cls)), None)
    if row is None and isinstance(exc, NetworkError) and head and status >= _REFUSAL:
        if status != _TOO_LARGE:
            return refusal(status, head.headers, now=now)
        row = ContentRefused, "too_large"
    error, word = row or (Uncertain, "unreadable_answer")  # a 2xx that the SDK could not read: it was sent, most likely
    return error(str(status or ""), code=word)


def _shown(markup: str) -> str:
    """Return the text that is left after entity parsing, which is what Telegram counts."""
    return _ENTITY.sub(lambda one: html.unescape(one[0]), _TAG.sub("", markup))


def _sayable(button: Button) -> bool:
    """Tell whether Telegram takes the button: a label, and 1 to 64 bytes of callback data (bytes, not characters)."""
    octets = units(button.id, Measure.BYTES, field="buttons")
    return 0 < units(button.label, Measure.UTF16, field="buttons") <= _MAX_LABEL and (
        bool(button.url) or 0 < octets <= _MAX_DATA_BYTES
    )
