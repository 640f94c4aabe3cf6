"""Every log event and metric in one list, and the redaction that every line passes through.

No address, body, variable or secret is ever given to a log event: events carry ids, codes and counts.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from structlog.typing import FilteringBoundLogger

EVENTS = {
    "account.misconfigured": "an account's credentials, sender or quota were refused; its messages are kept",
    "callback.matched": "a receipt arrived and moved a delivery",
    "chunk.failed": "work on a chunk failed, for example because the store is away; the sweeper finds its rows",
    "clock.offset": "this process runs on a shifted clock (never in production)",
    "delivery.unexpected": "an adapter raised something that is not a ChannelError; treated as uncertain",
    "doorbell.failed": "Redis did not take a ring; the sweeper will find the rows",
    "gateway.started": "a process is ready",
    "gateway.stopped": "a process has closed everything",
    "notifications.accepted": "a group of notifications was committed",
    "deliveries.recorded": "a group of provider calls was recorded",
    "recording.delayed": "the store did not take what came of provider calls; it is offered again",
    "request.failed": "a request ended in an unexpected error; the class only",
    "sweep.done": "the sweeper found rows to act on",
    "sweep.failed": "the sweeper or the poll failed, for example because the store is away; it tries again",
    "webhook.forged": "a webhook call was refused",
    "webhook.malformed": "an authentic webhook call had an unknown shape",
    "worker.reconnecting": "the worker lost Redis and polls the tables until it is back",
}
_SECRETS = [
    re.compile(r"/bot\d+:[A-Za-z0-9_-]+"),  # Telegram puts the token into the path
    re.compile(r"(?i)\bbearer\s+\S+"),
    re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"),
    re.compile(r"\+\d[\d \-/]{6,}\d"),
]
registry = CollectorRegistry()
accepted = Counter("botengang_accepted_total", "Notifications accepted", ["lane"], registry=registry)
ended = Counter("botengang_deliveries_total", "Deliveries by state", ["state", "account", "code"], registry=registry)
oldest_due = Gauge("botengang_oldest_due_seconds", "Age of the oldest due delivery", ["lane"], registry=registry)
send_seconds = Histogram("botengang_send_seconds", "Duration of a provider call", ["account"], registry=registry)


def redact(text: str) -> str:
    """Remove what looks like a secret or an address: the last line of defence, not the first."""
    for pattern in _SECRETS:
        text = pattern.sub("[redacted]", text)
    return text


def _redacted(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: redact(value) if isinstance(value, str) else value for key, value in event.items()}


class _RedactedFormatter(logging.Formatter):
    """Standard-library records of our dependencies pass the same redaction, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the redacted line."""
        return redact(super().format(record))


def configure(level: str = "INFO", *, json: bool = False) -> None:
    """Set up logging for this process: to standard error, redacted, quiet where SDKs would leak."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_RedactedFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    # Our dependencies may warn; their chatter would show addresses and tokens, so it stays off at every level of ours.
    logging.basicConfig(level=max(logging.WARNING, getattr(logging, level)), handlers=[handler], force=True)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            _redacted,
            structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def log() -> FilteringBoundLogger:
    """Return the logger; event names are the keys of EVENTS."""
    logger: FilteringBoundLogger = structlog.get_logger("botengang")
    return logger
