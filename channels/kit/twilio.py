"""What both Twilio channels share: options, the one API call, error translation, webhook verification and decoding.

Which fields a message becomes is each channel's own file; codes are :mod:`channels.kit.twilio_codes`.
API 2010-04-01 through twilio's own client; webhooks signed as of twilio.com/docs/usage/security.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

from pydantic import Field, SecretStr, model_validator
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from channels.kit.contract import (
    AdapterOptions,
    Address,
    Clock,
    Fact,
    Health,
    HttpClient,
    Inbound,
    Kind,
    Receipt,
    Request,
    Submission,
    WebhookRequest,
)
from channels.kit.errors import (
    ChannelError,
    Forged,
    HttpFailure,
    Malformed,
    Misconfigured,
    Refused,
    Unavailable,
    Uncertain,
    Unsupported,
    scrubbed,
)
from channels.kit.http import BaseUrl, Head, Witness, failure, refusal, retry_after_s
from channels.kit.twilio_codes import CODES, FIRST_CODE, by_code

for _name in ("twilio.http_client", "twilio.async_http_client"):
    logging.getLogger(_name).setLevel(logging.WARNING)  # at INFO they show numbers and the account

MAX_BODY_CHARACTERS = 1600
MAX_VALIDITY_S = 36_000
_FORM = "application/x-www-form-urlencoded"
_SERVER_ERROR = 500

FACTS: Mapping[str, Fact] = {
    "accepted": Fact.SUBMITTED,
    "scheduled": Fact.SUBMITTED,
    "queued": Fact.SUBMITTED,
    "sending": Fact.SUBMITTED,
    "sent": Fact.SUBMITTED,
    "partially_delivered": Fact.SUBMITTED,
    "delivered": Fact.DELIVERED,
    "read": Fact.READ,
    "undelivered": Fact.FAILED,
    "failed": Fact.FAILED,
    "canceled": Fact.FAILED,
}


class TwilioOptions(AdapterOptions):
    """One Twilio account and one sender on it."""

    account_sid: str = Field(pattern=r"^AC[0-9a-f]{32}$", description="the account")
    auth_token: SecretStr = Field(min_length=1, description="its secret; webhooks are signed with it")
    previous_auth_token: SecretStr | None = Field(None, min_length=1, description="still accepted on webhooks")
    api_key: str = Field(
        default="", pattern=r"^(SK[0-9a-f]{32})?$", description="sends instead of the auth token; with api_secret"
    )
    api_secret: SecretStr | None = Field(default=None, min_length=1, description="belongs to api_key")
    sender: str = Field("", description="number, or a name where the channel allows one; this or the next")
    messaging_service_sid: str = Field(
        default="", pattern=r"^(MG[0-9a-f]{32})?$", description="a pool of senders instead of one"
    )
    base_url: BaseUrl = Field("https://api.twilio.com", description="where the API is")
    signature: Literal["HMAC_SHA1", "HMAC_SHA256"] = Field(
        "HMAC_SHA1", description="of webhooks: HMAC_SHA1 or HMAC_SHA256"
    )
    countries: tuple[int, ...] = Field((49,), description="calling codes that we send to, as a JSON list")
    connect_s: float = Field(5.0, description="seconds until a connection must stand")

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if bool(self.sender) == bool(self.messaging_service_sid):
            raise ValueError("set either sender or messaging_service_sid, not both")
        if bool(self.api_key) != bool(self.api_secret):
            raise ValueError("api_key and api_secret belong together")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class TwilioRequest(Request):
    """One call of ``POST /Messages.json``: the form without the account's own fields."""

    form: Mapping[str, str | int] = field(repr=False)  # names as twilio's create_async spells them


class _Fields(dict[str, list[str]]):
    """A form with repeated names, in the way the SDK's validator asks for them."""

    def getall(self, name: str) -> list[str]:
        """Return all values of ``name``."""
        return self[name]


class _Wire(AsyncHttpClient):  # type: ignore[misc]  # the SDK ships without types
    """The SDK's transport over the core's HTTP client: real time-outs, one request, nothing logged."""

    def __init__(self, http: HttpClient, *, connect_s: float, total_s: float) -> None:
        super().__init__(logging.getLogger("twilio.async_http_client"), is_async=True)
        self._http = http
        self._connect_s = connect_s
        self._total_s = total_s

    async def request(  # noqa: PLR0917  # the SDK's signature
        self,
        method: str,
        url: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109, ARG002  # the SDK's signature; ours come from the options
        allow_redirects: bool = False,  # noqa: ARG002  # never
    ) -> Response:
        """Make the request and hand the answer to the SDK. Raises HttpFailure as it is."""
        sent = dict(headers or {})
        if auth is not None:
            sent["Authorization"] = "Basic " + base64.b64encode(":".join(auth).encode()).decode()
        answer = await self._http.request(
            method.upper(),
            f"{url}?{urlencode(params, doseq=True)}" if params else url,
            headers=sent,
            body=urlencode(data, doseq=True).encode() if data else None,
            connect_s=min(self._connect_s, self._total_s),
            total_s=self._total_s,
        )
        return Response(answer.status, answer.body.decode("utf-8", "replace"), answer.headers)


class Account:
    """One Twilio account: the send call, the probe, and what its webhooks say."""

    def __init__(self, options: TwilioOptions, *, http: HttpClient, clock: Clock, channel: str, prefix: str) -> None:
        """``prefix``: what Twilio puts before a number on this channel, "" or ``whatsapp:``."""
        self._options = options
        self._clock = clock
        self._channel = channel
        self._prefix = prefix
        self._witness = Witness(http)
        secret = options.api_secret or options.auth_token
        self._client = Client(
            options.api_key or options.account_sid,
            secret.get_secret_value(),
            options.account_sid,
            http_client=_Wire(self._witness, connect_s=options.connect_s, total_s=options.deadline_s),
            environment={"TWILIO_EDGE": ""},  # not empty, else the SDK reads the process's own
        )
        self._client.api.base_url = options.base_url
        tokens = [one for one in (options.auth_token, options.previous_auth_token) if one is not None]
        self._validators = [RequestValidator(one.get_secret_value()) for one in tokens]

    async def send(self, request: TwilioRequest) -> Submission:
        """Create one message. Raises one ChannelError."""
        sender = {"from_": self._prefix + self._options.sender} if self._options.sender else {}
        service = self._options.messaging_service_sid
        extra = {"messaging_service_sid": service} if service else {}
        try:
            made = await self._client.messages.create_async(to=request.to, **sender, **extra, **request.form)
            sid, status, code = made.sid, made.status, made.error_code
        except Exception as exc:  # noqa: BLE001  # nothing but a ChannelError leaves send
            raise self._translated(exc) from scrubbed(exc)
        if FACTS.get(str(status)) is Fact.FAILED:  # no callback is made for the first status
            raise error_of(str(code or ""))
        if not isinstance(sid, str) or not sid:
            raise Uncertain(code="unreadable_answer")
        return Submission(sid)

    async def probe(self) -> Health:
        """Fetch the account: free, read-only."""
        try:
            account = await self._client.api.v2010.accounts(self._options.account_sid).fetch_async()
            status = account.status
        except Exception as exc:  # noqa: BLE001  # a probe raises nothing
            error = self._translated(exc)
            if isinstance(error, Misconfigured):
                return Health(ok=False, advice=f"account_sid and credentials are refused ({error.provider_code})")
            return Health(ok=False, advice=f"no usable answer from the API ({error.code})")
        if status != "active":
            return Health(ok=False, advice="the account is not active: see the provider's console")
        return Health(ok=True)

    def verify(self, hook: WebhookRequest) -> None:
        """Raise Forged unless the call is signed with the account's current or previous token, and for this account."""
        signature = hook.headers.get("x-twilio-signature", "")
        try:
            params = _signed_params(hook)
            mine = [self._signed(one, hook.url, params, signature) for one in self._validators]
        except (ValueError, TypeError, LookupError, AttributeError) as exc:  # the validator's answers to odd input
            raise Forged("unreadable") from scrubbed(exc)
        if not any(mine):
            raise Forged("signature")
        if not isinstance(params, str) and params.get("AccountSid") != [self._options.account_sid]:
            # also stops the trick of moving leading parameters into the URL: AccountSid would be missing
            raise Forged("account")

    def _signed(self, validator: RequestValidator, url: str, params: _Fields | str, signature: str) -> bool:
        """Ask the SDK; the algorithm is the configured one, whatever the call's own header names."""
        return bool(signature) and bool(validator.validate(url, params, signature, self._options.signature))

    def decode(self, hook: WebhookRequest, *, facts: Iterable[Fact]) -> Sequence[Receipt | Inbound]:
        """Return the one receipt or inbound of a call, or nothing for a status that we do not know."""
        form = _form(hook)
        sid = form.get("MessageSid") or form.get("SmsSid") or ""
        if not sid:
            raise Malformed("no MessageSid")
        if "MessageStatus" in form:
            return self._receipts(hook, form, sid, frozenset(facts))
        if "Body" not in form:
            raise Malformed("neither a status nor a message")
        return (self._inbound(form, sid),)

    def _receipts(
        self, hook: WebhookRequest, form: Mapping[str, str], sid: str, facts: frozenset[Fact]
    ) -> Sequence[Receipt]:
        """Return the receipt of a status callback."""
        status = form["MessageStatus"]
        fact = FACTS.get(status)
        if fact is Fact.READ and fact not in facts:
            fact = Fact.DELIVERED
        if fact is None:
            return ()
        error = error_of(form.get("ErrorCode", "")) if fact is Fact.FAILED else None
        key = parse_qs(urlsplit(hook.url).query).get("mid", [""])[0]
        return (Receipt(event_id=f"{sid}:{status}", provider_id=sid, fact=fact, at=None, key=key, error=error),)

    def _inbound(self, form: Mapping[str, str], sid: str) -> Inbound:
        """Return what a person wrote or pressed."""
        sender = form.get("From", "").removeprefix(self._prefix)
        if not sender:
            raise Malformed("no sender")
        payload = form.get("ButtonPayload", "")
        if form.get("OptOutType") == "STOP":
            kind = Kind.STOP
        elif payload:
            kind = Kind.BUTTON
        else:
            kind = Kind.MEDIA if form.get("NumMedia", "0") not in ("", "0") else Kind.TEXT
        return Inbound(
            event_id=sid,
            sender=Address(self._channel, sender),
            kind=kind,
            at=None,
            text=form["Body"],
            payload=payload,
            reply_to=form.get("OriginalRepliedMessageSid", ""),
        )

    def _translated(self, exc: Exception) -> ChannelError:
        return translate(exc, self._witness.last(), self._clock)


def callback_with_key(callback_url: str, key: str) -> str:
    """Return the callback address that carries our key back: proof of creation even if the answer was lost."""
    return f"{callback_url}{'&' if '?' in callback_url else '?'}mid={quote(key, safe='')}"


def validity(valid_s: int | None) -> dict[str, int]:
    """Return the form field that stops a message from arriving when it has become useless."""
    if valid_s is None:
        return {}
    if valid_s < 1:
        raise Unsupported("valid_s")
    return {"validity_period": min(valid_s, MAX_VALIDITY_S)}


def _signed_params(hook: WebhookRequest) -> _Fields | str:
    """Return the parameters as signed: blank values and repeats count, a parsed JSON body would not be covered."""
    if hook.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM:
        pairs = parse_qsl(hook.body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict")
        fields = _Fields()
        for name, value in pairs:
            fields.setdefault(name, []).append(value)
        return fields
    if "bodySHA256" not in parse_qs(urlsplit(hook.url).query):
        raise Forged("body not covered")
    return hook.body.decode()


def _form(hook: WebhookRequest) -> Mapping[str, str]:
    """Return the form's fields, the first of repeated ones."""
    if hook.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise Malformed("not a form")
    try:
        pairs = parse_qsl(hook.body.decode(), keep_blank_values=True, errors="strict")
    except ValueError:
        raise Malformed("not UTF-8") from None
    return dict(reversed(pairs))


def error_of(code: str) -> ChannelError:
    """Return the class of the ErrorCode of a callback."""
    return by_code(int(code)) if code.isascii() and code.isdigit() else Refused(code="failed_without_code")


def translate(exc: Exception, head: Head | None, clock: Clock) -> ChannelError:
    """Return the class of whatever the SDK raised. ``head``: of the answer, as the SDK's exceptions drop headers."""
    if isinstance(exc, HttpFailure):
        return failure(exc)
    if isinstance(exc, TwilioRestException | TwilioServiceException):
        code = exc.code if isinstance(exc.code, int) and exc.code >= FIRST_CODE else 0
        headers = head.headers if head else {}
        if code in CODES:
            return by_code(code, retry_after_s=retry_after_s(headers, now=clock.now()))
        status = head.status if head else int(exc.status)
        if code and status >= _SERVER_ERROR:
            return Unavailable(str(code))  # Twilio itself answered: nothing was created
        return refusal(status, headers, now=clock.now(), provider_code=str(code or ""))
    if isinstance(exc, TwilioException):
        return Misconfigured(code="client")
    return Uncertain(code="unreadable_answer")  # a 2xx that the SDK could not read: it was created, very likely
