"""What a provider did, as one class that says what to do next.

Nothing else leaves :meth:`channels.kit.contract.Adapter.send` (cancellation aside); the SDK's own exception is the
``__cause__``. No message text of the provider is kept, because it quotes addresses: only codes are.
"""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar, TypeVar

_E = TypeVar("_E", bound=BaseException)


class ChannelError(Exception):
    """A provider call that did not end in a submission.

    ``code``: our stable word, such as ``address_refused`` or a narrower one given by the adapter.
    ``provider_code``: the provider's own code (``"21610"``, ``"550 5.1.1"``), "" where there is none.
    """

    default_code: ClassVar[str] = "channel_error"

    def __init__(self, provider_code: str = "", *, code: str = "", retry_after_s: float | None = None) -> None:
        """Keep the codes; ``retry_after_s`` is the provider's own wish in seconds, if it stated one."""
        self.code = code or self.default_code
        self.provider_code = provider_code
        self.retry_after_s = retry_after_s
        super().__init__(f"{self.code} {provider_code}".strip())


class Throttled(ChannelError):
    """Too fast: wait and try again. Not an attempt."""

    default_code = "throttled"


class Unavailable(ChannelError):
    """The provider or the handset is not there now, and nothing was sent: try again until the message expires."""

    default_code = "unavailable"


class Uncertain(ChannelError):
    """The request may have been taken and the answer was lost: never try again blindly."""

    default_code = "uncertain"


class Misconfigured(ChannelError):
    """Credentials, sender, certificate or quota: pause the account, alert, keep the messages."""

    default_code = "misconfigured"


class Refused(ChannelError):
    """The provider said no for a reason we do not know better: next channel, address untouched."""

    default_code = "refused"


class AddressRefused(Refused):
    """The address cannot be reached on this channel: next channel, and suppress the address."""

    default_code = "address_refused"


class OptedOut(Refused):
    """The person said stop, or blocked us: next channel, suppress the address, withdraw the consent."""

    default_code = "opted_out"


class ContentRefused(Refused):
    """The text itself was refused: stop, tell the author. The address is good."""

    default_code = "content_refused"


class WindowClosed(Refused):
    """Free text is not allowed now: use the provider-approved template, else the next channel."""

    default_code = "window_closed"


class Unsupported(ContentRefused):
    """The message cannot be said on this channel (too long, unknown field); raised by ``encode``, before any call."""

    default_code = "unsupported"

    def __init__(self, field: str) -> None:
        """Name the field of the message that cannot be expressed."""
        self.field = field
        super().__init__(field)


class AddressInvalid(ValueError):
    """The text is not an address of this channel; ``reason`` says why without quoting it."""

    def __init__(self, reason: str) -> None:
        """Keep the reason, never the address."""
        self.reason = reason
        super().__init__(reason)


class WebhookError(Exception):
    """A webhook call that we do not act on."""


class Forged(WebhookError):
    """The signature or secret is missing or wrong. Answer 403 and do nothing."""


class Malformed(WebhookError):
    """Authentic, but not of a shape we know. Keep it, answer 2xx."""


class HttpFailure(Exception):
    """No usable HTTP answer came back."""


class NotSent(HttpFailure):
    """The connection was never established: nothing left this machine."""


class CertificateRefused(NotSent):
    """The server's certificate did not verify."""


class MaybeSent(HttpFailure):
    """The request may have reached the server: time-out, reset, broken answer."""


def scrubbed(exc: _E) -> _E:
    """Take every text out of an SDK's exception and of those behind it, and return it for ``raise … from``.

    SDK exceptions quote addresses, bodies and URLs with tokens; a traceback would show them. Numbers stay.
    """
    link: BaseException | None = exc
    for _ in range(8):  # chains are short; a loop in one must not hold us
        if link is None:
            break
        link.args = tuple(arg for arg in link.args if isinstance(arg, int | float))
        slots = [name for cls in type(link).__mro__ for name in getattr(cls, "__slots__", ())]
        for name in [*vars(link), *slots]:
            value = getattr(link, name, None)
            if value is not None and not isinstance(value, int | float) and not name.startswith("__"):
                with suppress(AttributeError, TypeError):  # read-only: then it is no text of a provider
                    setattr(link, name, "")
        link = link.__cause__ or link.__context__
    return exc
