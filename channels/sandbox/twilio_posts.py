"""The provider's posts to the gateway: status callbacks and what people write, signed over the exact address.

The Courier carries them. Parameters as documented by the provider; blank ones are sent too, since real ones are and the
signature covers them. Signature: HMAC-SHA1 over address and sorted parameters, by the provider's own library.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlencode

from twilio.request_validator import RequestValidator

from channels.sandbox.callbacks import Courier, Post
from channels.sandbox.facts import Credentials

API_VERSION = "2010-04-01"
WHATSAPP = "whatsapp:"
_NOWHERE = ("City", "State", "Zip")


class Posts:
    """Signs and hands over the posts of one account."""

    def __init__(self, courier: Courier, credentials: Credentials) -> None:
        self._courier = courier
        self._owned = credentials
        self._validator = RequestValidator(credentials.twilio_auth_token)
        self._install_sid = "XE" + secrets.token_hex(16)

    def status(
        self,
        url: str,
        *,
        sid: str,
        status: str,
        to: str,
        sender: str,
        service_sid: str,
        code: int | None,
        at: datetime,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Report a new status of a message to ``url``; ``then`` is called when that is done, or given up."""
        form = {
            "MessageSid": sid,
            "SmsSid": sid,
            "MessageStatus": status,
            "SmsStatus": status,
            "AccountSid": self._owned.twilio_account_sid,
            "ApiVersion": API_VERSION,
            "From": sender,
            "To": to,
        }
        if service_sid:
            form["MessagingServiceSid"] = service_sid
        if code is not None:
            form["ErrorCode"] = str(code)
        if to.startswith(WHATSAPP):
            form |= self._channel_parameters(status, to, code)
        elif status in {"delivered", "undelivered"}:
            form["RawDlrDoneDate"] = at.strftime("%y%m%d%H%M")
        self._hand_over(url, form, then)

    def inbound(self, url: str, *, sender: str, text: str, button: tuple[str, str, str] | None = None) -> str:
        """Hand in what a person wrote, and return the new message's sid.

        sender: E.164, with ``whatsapp:`` before it on that channel.  button: (id, label, sid of the message answered).
        """
        whatsapp = sender.startswith(WHATSAPP)
        sid = "SM" + secrets.token_hex(16)
        form = {
            "MessageSid": sid,
            "SmsSid": sid,
            "SmsMessageSid": sid,
            "AccountSid": self._owned.twilio_account_sid,
            "ApiVersion": API_VERSION,
            "From": sender,
            "To": WHATSAPP + self._owned.whatsapp_number if whatsapp else self._owned.sms_number,
            "Body": text,
            "NumMedia": "0",
            "NumSegments": "1",
            "SmsStatus": "received",
        }
        if whatsapp:
            form |= {"WaId": sender.removeprefix(WHATSAPP + "+"), "ProfileName": "Telefon", "ReferralNumMedia": "0"}
            form["MessageType"] = "text"
        else:
            form |= {f"{end}{place}": "" for end in ("From", "To") for place in _NOWHERE}
            form |= {"FromCountry": "DE", "ToCountry": "DE"}
        if button is not None:
            form |= {"MessageType": "button", "ButtonPayload": button[0], "ButtonText": button[1]}
            form |= {"OriginalRepliedMessageSid": button[2]}
        self._hand_over(url, form, None)
        return sid

    def _channel_parameters(self, status: str, to: str, code: int | None) -> dict[str, str]:
        form = {"ChannelPrefix": "whatsapp", "ChannelInstallSid": self._install_sid, "ChannelToAddress": to}
        if status in {"delivered", "undelivered", "read"}:
            form["EventType"] = status.upper()
        if code is not None:
            form["ChannelStatusMessage"] = f"Error {code}"
        return form

    def _hand_over(self, url: str, form: dict[str, str], then: Callable[[], None] | None) -> None:
        headers = {
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
            "X-Twilio-Signature": self._validator.compute_signature(url, form),
            "I-Twilio-Idempotency-Token": secrets.token_hex(16),
            "User-Agent": "TwilioProxy/1.1",
            "Accept": "*/*",
        }
        post = Post(url, urlencode(form).encode("ascii"), headers)
        if then is not None:
            post.ended = lambda _delivered, _what: then()
        self._courier.post(post)
