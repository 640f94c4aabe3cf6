"""Where the catalogue lies, what the installed channels can do, and a letterhead, for the tests of rendering."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from channels.email_smtp import EmailSmtp
from channels.kit.contract import Capabilities
from channels.sms_twilio import SmsTwilio
from channels.telegram_bot import TelegramBot
from channels.whatsapp_twilio import WhatsappTwilio
from gateway.domain.content import Content
from gateway.render.render import Letterhead, Links

FOLDER = Path(__file__).parents[2] / "templates"
CAPABILITIES: Mapping[str, Capabilities] = {
    one.capabilities.channel: one.capabilities for one in (EmailSmtp, SmsTwilio, TelegramBot, WhatsappTwilio)
}
LETTERHEAD = Letterhead(
    sender_name="Main-Taunus-Kreis",
    imprint_url="https://info.mtk.example/impressum",
    privacy_url="https://info.mtk.example/datenschutz",
    accessibility_url="https://info.mtk.example/barrierefreiheit",
    personal_url="https://info.mtk.example/kontakt",
)
LINKS = Links("https://info.mtk.example/a/9fQk2Lm8ZtA1cVxB", "https://info.mtk.example/o/9fQk2Lm8ZtA1cVxB")
SENT_AT = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)


def examples(content: Content) -> dict[str, str]:
    """Return the example values of a template."""
    return {name: one.example for name, one in content.variables.items()}
