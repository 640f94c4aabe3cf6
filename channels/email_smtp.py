"""E-mail through a submission relay (SMTP) with aiosmtplib.

One recipient an envelope, TLS always, no attachments; it opens no mailbox: bounces are handed to it. The phase in which
a call broke decides whether it may be repeated. RFC 5321, 3207 (STARTTLS), 8314 (implicit TLS), 3463 (x.y.z), 8058
(one-click), 3464 (bounces).
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email.utils import format_datetime
from pathlib import Path
from typing import ClassVar, Literal, Self

import aiosmtplib
from pydantic import Field, SecretStr, field_validator, model_validator

from channels.kit import dsn, verp
from channels.kit.addresses import mailbox
from channels.kit.contract import (
    AdapterOptions,
    Address,
    Capabilities,
    Clock,
    Confidentiality,
    Dataflow,
    Domain,
    Fact,
    Format,
    Health,
    HttpClient,
    Limit,
    Measure,
    Message,
    Receipt,
    Request,
    Submission,
)
from channels.kit.errors import (
    ChannelError,
    ContentRefused,
    Forged,
    Misconfigured,
    Unavailable,
    Uncertain,
    Unsupported,
    scrubbed,
)
from channels.kit.measure import units
from channels.kit.mime import Part, bracketed, compose, named, unstructured
from channels.kit.smtp_replies import Phase, of_reply

_MAX_BYTES = 102_400  # Gmail shows no more of a part (B-E7)
_KEY = re.compile(r"[A-Za-z0-9._-]{1,200}")
_LANGUAGE = re.compile(r"[A-Za-z0-9-]{1,35}")
_STALE_S = 5.0  # a connection that rested longer is asked before it is used
_SHORT_S = 2.0  # for RSET and QUIT, whose answers change nothing
_CLOSING = 421


class EmailOptions(AdapterOptions):
    """One account on one relay. There is no setting for opportunistic or unverified TLS."""

    host: str = Field(min_length=1, description="the relay")
    port: int = Field(587, description="its port for submission")
    tls: Literal["starttls", "implicit"] = Field("starttls", description="starttls or implicit; nothing weaker")
    ca_file: Path | None = Field(None, description="trusted instead of the system's authorities")
    username: str = Field("", description="login; with password, or neither")
    password: SecretStr | None = Field(None, description="login; with username, or neither")
    sender: str = Field(description="From: a mailbox that somebody reads, or reply_to is set")
    sender_name: str = Field("", description="name shown beside the sender")
    reply_to: str = Field("", description="mailbox for answers; unset: sender")
    envelope_sender: str = Field("", description="where bounces go; unset: sender")
    bounce_domain: str = Field("", description="where bounces are read by us: a return address for each mail")
    verp_secret: SecretStr | None = Field(None, min_length=32, description="makes those addresses unguessable")
    dkim_selector: str = Field("", description="under which the relay signs; only for doctor to look it up")
    message_host: str = Field("", description="right side of the Message-ID, our name in EHLO; unset: sender's domain")
    connections: int = Field(default=8, ge=1, le=100, description="connections at once")
    idle_s: float = Field(20.0, description="seconds a connection may rest; keep it below the relay's own limit")
    command_s: float = Field(10.0, description="seconds for one SMTP command")
    login_pause_s: float = Field(60.0, description="pause after a refused login, seconds: accounts get locked")

    @field_validator("sender", "reply_to", "envelope_sender")
    @classmethod
    def _canonical(cls, raw: str) -> str:
        return mailbox(raw, channel="email").value if raw else ""

    @field_validator("bounce_domain")
    @classmethod
    def _domain(cls, raw: str) -> str:
        return mailbox(f"b@{raw}", channel="email").value.partition("@")[2] if raw else ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.sender:
            raise ValueError("sender must be a mailbox")
        if bool(self.username) != bool(self.password):
            raise ValueError("username and password belong together")
        if bool(self.bounce_domain) != bool(self.verp_secret):
            raise ValueError("bounce_domain and verp_secret belong together")
        if self.bounce_domain and self.envelope_sender:
            raise ValueError("bounce_domain replaces envelope_sender: set one of them")
        unstructured(self.sender_name, field="sender_name")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail(Request):
    """One envelope and its content, ready for the wire."""

    envelope_sender: str
    message_id: str  # without angle brackets
    content: bytes = field(repr=False)


class EmailSmtp:
    """E-mail by SMTP submission, over a pool of connections each used by one task at a time."""

    Options: ClassVar[type[AdapterOptions]] = EmailOptions
    capabilities: ClassVar[Capabilities] = Capabilities(
        channel="email",
        formats=(Format.HTML, Format.TEXT),
        measure=Measure.BYTES,
        max_units=_MAX_BYTES,
        receipts=frozenset({Fact.FAILED}),
        limits=(Limit("account", 50, per_s=1),),
        ceiling=Confidentiality.K2,
        default_ceiling=Confidentiality.K2,
        dataflow=Dataflow("own relay", "DE", ("mailbox", "subject", "text")),
    )

    def __init__(self, options: EmailOptions, *, http: HttpClient, clock: Clock) -> None:  # noqa: ARG002  # no HTTP here
        self._options = options
        self._host = options.message_host or options.sender.rpartition("@")[2]
        self._pool = _Pool(options, ehlo=self._host, clock=clock)
        self._verp = options.verp_secret.get_secret_value() if options.verp_secret else ""

    def address_of(self, raw: str) -> Address:
        """Return the mailbox, its domain in ASCII. Raises AddressInvalid."""
        return mailbox(raw, channel="email")

    def encode(self, message: Message, to: Address, *, key: str, callback_url: str = "") -> Mail:  # noqa: ARG002  # no webhook
        """Return the mail with ``Message-ID: <key@host>``, the same for every attempt. Raises Unsupported(field)."""
        for name, unsayable in (
            ("key", not _KEY.fullmatch(key) or (bool(self._verp) and len(key) > verp.MAX_KEY)),
            ("language", not _LANGUAGE.fullmatch(message.language)),
            ("buttons", bool(message.buttons)),  # the core writes them into the looks as links
            ("approved", message.approved is not None),
        ):
            if unsayable:
                raise Unsupported(name)
        parts = [Part("plain", message.looks[Format.TEXT], message.language)]
        if Format.HTML in message.looks:
            parts.append(Part("html", message.looks[Format.HTML], message.language))
        if any(units(one.text, Measure.BYTES) > _MAX_BYTES for one in parts):
            raise Unsupported("text")
        content = compose(self._headers(message, to, key), tuple(parts), seed=key)
        return Mail(
            key=key,
            to=to.value,
            envelope_sender=self._return_address(key),
            message_id=f"{key}@{self._host}",
            content=content,
        )

    def _headers(self, message: Message, to: Address, key: str) -> list[tuple[str, str]]:
        """Return the headers, final. Raises Unsupported for line breaks in any of them."""
        headers = [
            ("From", named(self._options.sender_name, self._options.sender)),
            ("To", unstructured(to.value, field="to")),
            ("Subject", unstructured(message.subject, field="subject")),
            ("Date", format_datetime(message.sent_at)),
            ("Message-ID", f"<{key}@{self._host}>"),
            ("Auto-Submitted", "auto-generated"),  # RFC 3834: nobody's out-of-office answers
        ]
        if self._options.reply_to:
            headers.append(("Reply-To", self._options.reply_to))
        if message.stop_url:
            headers.append(("List-Unsubscribe", bracketed(message.stop_url, field="stop_url")))
            headers.append(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
        return headers

    def _return_address(self, key: str) -> str:
        if self._verp:
            return verp.return_address(key, domain=self._options.bounce_domain, secret=self._verp)
        return self._options.envelope_sender or self._options.sender

    def key_of(self, recipient: str) -> str:
        """Return the key in a return address of this account, "" for any other address. Raises Forged."""
        return verp.key_of(recipient, domain=self._options.bounce_domain, secret=self._verp) if self._verp else ""

    def decode_mail(self, raw: bytes, recipient: str) -> Sequence[Receipt]:
        """Return what became of the mail whose return address is ``recipient``. Raises Forged and Malformed."""
        key = self.key_of(recipient)
        if not key:
            raise Forged("no return address of this account")
        return dsn.receipts(raw, key=key, provider_id=f"{key}@{self._host}")

    async def send(self, request: Mail) -> Submission:
        """Make one mail transaction. Raises one ChannelError."""
        step = _Step()
        try:
            async with asyncio.timeout(self._options.deadline_s), self._pool.line() as smtp:
                size = [f"SIZE={len(request.content)}"] if smtp.supports_extension("size") else []
                step.phase = Phase.MAIL
                await smtp.mail(request.envelope_sender, options=size)
                step.phase = Phase.RCPT
                await smtp.rcpt(request.to)
                step.phase = Phase.DATA
                await smtp.data(request.content)
        except ChannelError:  # the pause after a refused login
            raise
        except Exception as exc:  # noqa: BLE001  # nothing but a ChannelError leaves send
            raise translate(exc, step.phase) from scrubbed(exc)
        return Submission(request.message_id)

    @property
    def domain(self) -> Domain:
        """Return the domains of From and of the return address."""
        own = self._options
        envelope = own.bounce_domain or (own.envelope_sender or own.sender).rpartition("@")[2]
        return Domain(own.sender.rpartition("@")[2], envelope, own.dkim_selector)

    async def probe(self) -> Health:
        """Connect, log in, NOOP, QUIT: sends nothing. Also ends a pause after a refused login."""
        try:
            async with asyncio.timeout(self._options.deadline_s):
                smtp = await self._pool.connect(proving=True)
                await smtp.noop()
                await _leave(smtp)
        except Exception as exc:  # noqa: BLE001  # a probe raises nothing
            error = translate(exc, Phase.CONNECT)
            return Health(ok=False, advice=f"the relay did not let us in: {error.code} {error.provider_code}".strip())
        return Health(ok=True)

    async def close(self) -> None:
        """Say QUIT on every resting connection."""
        await self._pool.close()


@dataclass(slots=True)
class _Step:
    """Remembers the phase for whoever has to judge a broken call."""

    phase: Phase = Phase.CONNECT


class _Pool:
    """Persistent connections. Each has one owner at a time; a refused login stops all others from trying."""

    def __init__(self, options: EmailOptions, *, ehlo: str, clock: Clock) -> None:
        self._options = options
        self._ehlo = ehlo
        self._clock = clock
        self._slots = asyncio.Semaphore(options.connections)
        self._door = asyncio.Lock()  # one login at a time
        self._resting: list[tuple[aiosmtplib.SMTP, float, bool]] = []  # with the time, and whether RSET is due
        self._tls: ssl.SSLContext | None = None
        self._barred: tuple[float, str, str] | None = None  # until when, and the codes of the refusal
        self._closed = False

    @asynccontextmanager
    async def line(self) -> AsyncIterator[aiosmtplib.SMTP]:
        """Lend a connection that is ready for MAIL."""
        async with self._slots:
            smtp = await self._rested() or await self.connect()
            try:
                yield smtp
            except aiosmtplib.SMTPResponseException as exc:
                self._rest(smtp, dirty=True, lost=exc.code in (-1, _CLOSING))
                raise
            except BaseException:
                smtp.close()
                raise
            self._rest(smtp)

    async def connect(self, *, proving: bool = False) -> aiosmtplib.SMTP:
        """Open, secure and log in; ``proving`` ignores the pause. Raises what aiosmtplib and ssl raise."""
        async with self._door:
            if self._barred and not proving and self._clock.monotonic() < self._barred[0]:
                raise Misconfigured(self._barred[2], code=self._barred[1])
            smtp = await self._opened()
            try:
                await smtp.connect()
                await smtp.ehlo()
                await self._log_in(smtp)
            except BaseException as exc:
                smtp.close()
                error = translate(exc, Phase.CONNECT) if isinstance(exc, Exception) else None
                if isinstance(error, Misconfigured):
                    until = self._clock.monotonic() + self._options.login_pause_s
                    self._barred = (until, error.code, error.provider_code)
                raise
            self._barred = None
            return smtp

    async def _opened(self) -> aiosmtplib.SMTP:
        """Return a client that will refuse to speak without TLS; the certificates are read once, in a thread."""
        options = self._options
        if self._tls is None:
            ca_file = str(options.ca_file) if options.ca_file else None
            self._tls = await asyncio.to_thread(ssl.create_default_context, cafile=ca_file)
        implicit = options.tls == "implicit"
        return aiosmtplib.SMTP(
            hostname=options.host,
            port=options.port,
            use_tls=implicit,
            start_tls=not implicit,
            tls_context=self._tls,
            local_hostname=self._ehlo,
            timeout=min(options.command_s, options.deadline_s),
        )

    async def _log_in(self, smtp: aiosmtplib.SMTP) -> None:
        """Log in once: aiosmtplib's own login tries every mechanism, and locks accounts three times as fast."""
        name, password = self._options.username, self._options.password
        if not name or password is None:
            return
        offered = smtp.server_auth_methods
        if "plain" in offered:
            await smtp.auth_plain(name, password.get_secret_value())
        elif "login" in offered:
            await smtp.auth_login(name, password.get_secret_value())
        elif "cram-md5" in offered:
            await smtp.auth_crammd5(name, password.get_secret_value())
        else:
            raise aiosmtplib.SMTPException("no AUTH")

    async def _rested(self) -> aiosmtplib.SMTP | None:
        """Return a resting connection that still works, the last used first."""
        while self._resting:
            smtp, since, dirty = self._resting.pop()
            rested_s = self._clock.monotonic() - since
            if not smtp.is_connected or rested_s > self._options.idle_s:
                smtp.close()
                continue
            if not dirty and rested_s <= _STALE_S:
                return smtp
            try:
                await smtp.rset(timeout=_SHORT_S)
            except (aiosmtplib.SMTPException, OSError):
                smtp.close()
            except BaseException:
                smtp.close()
                raise
            else:
                return smtp
        return None

    def _rest(self, smtp: aiosmtplib.SMTP, *, dirty: bool = False, lost: bool = False) -> None:
        """Take a connection back, or close it."""
        if lost or self._closed or not smtp.is_connected:
            smtp.close()
        else:
            self._resting.append((smtp, self._clock.monotonic(), dirty))

    async def close(self) -> None:
        """Close what rests now, and what comes back later."""
        self._closed = True
        while self._resting:
            await _leave(self._resting.pop()[0])


async def _leave(smtp: aiosmtplib.SMTP) -> None:
    """Say goodbye; what the relay answers changes nothing."""
    with suppress(aiosmtplib.SMTPException, OSError):
        await smtp.quit(timeout=_SHORT_S)
    smtp.close()


# what broke before DATA without a readable reply; the first row that fits wins
_BROKEN: tuple[tuple[type[Exception], type[ChannelError], str], ...] = (
    (ssl.SSLError, Misconfigured, "certificate"),
    (aiosmtplib.SMTPNotSupported, ContentRefused, "not_supported"),
    (OSError, Unavailable, "not_reached"),  # also every disconnect and time-out
    (aiosmtplib.SMTPResponseException, Unavailable, "garbled"),
    (aiosmtplib.SMTPException, Misconfigured, "not_offered"),  # STARTTLS or AUTH: nothing was said in clear
    (ValueError, ContentRefused, "unsayable"),
    (Exception, Misconfigured, "internal"),
)


def translate(exc: Exception, phase: Phase) -> ChannelError:
    """Return the class of whatever aiosmtplib, ssl or the deadline raised in ``phase``."""
    if isinstance(exc, aiosmtplib.SMTPRecipientsRefused) and exc.recipients:
        exc = exc.recipients[0]
    if isinstance(exc, aiosmtplib.SMTPResponseException) and exc.code > 0:
        return of_reply(exc.code, exc.message, phase)
    if phase is Phase.DATA:
        return Uncertain()  # no reply, or none that can be read: the relay may have taken it
    seen = exc.__cause__ if isinstance(exc.__cause__, ssl.SSLError) else exc  # implicit TLS hides it one level down
    error, word = next((error, word) for cls, error, word in _BROKEN if isinstance(seen, cls))
    return error(code=word)
