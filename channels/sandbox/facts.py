"""The facts of one running sandbox: where it listens, and the credentials it made up for this start.

It stores nothing: a restart means new credentials. The JSON form is the ready line of ``python -m channels.sandbox``.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, field, fields

_BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_BOT_SECRET_LENGTH = 35


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What the stand-ins ask for. ``sms_number`` and ``whatsapp_number`` are the senders that the account owns."""

    smtp_user: str = "botengang"
    smtp_password: str = field(repr=False)
    twilio_account_sid: str
    twilio_auth_token: str = field(repr=False)
    twilio_messaging_service_sid: str
    sms_number: str = "+4915735990000"
    whatsapp_number: str = "+496994549000"
    telegram_token: str = field(repr=False)
    telegram_bot: str = "botengang_sandbox_bot"

    @classmethod
    def draw(cls) -> Credentials:
        """Return fresh random credentials in the providers' own shapes."""
        bot_secret = "".join(secrets.choice(_BASE64URL) for _ in range(_BOT_SECRET_LENGTH))
        return cls(
            smtp_password=secrets.token_urlsafe(24),
            twilio_account_sid="AC" + secrets.token_hex(16),
            twilio_auth_token=secrets.token_hex(16),
            twilio_messaging_service_sid="MG" + secrets.token_hex(16),
            telegram_token=f"{100_000_000 + secrets.randbelow(900_000_000)}:{bot_secret}",
        )

    @property
    def telegram_bot_id(self) -> int:
        """Return the bot's numeric id: the part of the token before the colon."""
        return int(self.telegram_token.partition(":")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts(Credentials):
    """Credentials and addresses of a sandbox that is ready to be used."""

    http: str
    smtp_host: str
    smtp_port: int
    ca_file: str
    twilio_base_url: str
    telegram_base_url: str

    @classmethod
    def of(cls, credentials: Credentials, *, http: str, smtp_host: str, smtp_port: int, ca_file: str) -> Facts:
        """Join the credentials with the addresses that were got."""
        return cls(
            **{one.name: getattr(credentials, one.name) for one in fields(Credentials)},
            http=http,
            smtp_host=smtp_host,
            smtp_port=smtp_port,
            ca_file=ca_file,
            twilio_base_url=f"{http}/twilio",
            telegram_base_url=f"{http}/telegram/bot",
        )

    def as_json(self) -> str:
        """Return the ready line: one JSON object without line breaks."""
        return json.dumps(asdict(self))
