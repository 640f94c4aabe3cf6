"""Every log event and metric in one list, and the redaction that every line passes through.

No address, body, variable or secret is ever given to a log event: events carry ids, codes and counts.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from structlog.typing import FilteringBoundLogger

from gateway.domain.reasons import SENTENCES, WIDER

EVENTS = {
    "account.closed": "an account's circuit closed again: its messages flow",
    "account.misconfigured": "an account's credentials, sender or quota were refused; its messages are kept",
    "bounce.deferred": "the store was away, so the relay was asked to bring a bounce again",
    "bounce.failed": "taking a bounce ended in an unexpected error; the class only; the relay brings it again",
    "bounce.forged": "a mail came to a return address that we did not make; it was refused",
    "bounce.malformed": "a mail came to a return address of ours and could not be read; nothing was done",
    "bounce.taken": "a mail came back; kind: failed, delivered, submitted, or ignored for an answer or a delay",
    "account.opened": "an account's circuit opened because too many calls failed; its messages are kept",
    "account.probed": "a resting account's provider was asked whether it is back",
    "callbacks.abandoned": "posts to a client's endpoint were given up, or it answered 410 and is disabled",
    "callbacks.failed": "posting to endpoints failed, for example because the store is away; it is tried again",
    "callback.matched": "a receipt arrived and moved a delivery",
    "chunk.failed": "work on a chunk failed, for example because the store is away; the sweeper finds its rows",
    "clock.offset": "this process runs on a shifted clock (never in production)",
    "delivery.unexpected": "an adapter raised something that is not a ChannelError; treated as uncertain",
    "doorbell.failed": "Redis did not take a ring; the sweeper will find the rows",
    "gateway.started": "a process is ready",
    "gateway.stopped": "a process has closed everything",
    "limit.neared": "a limit of a day is used up to 80 %",
    "notifications.accepted": "a group of notifications was committed",
    "deliveries.recorded": "a group of provider calls was recorded",
    "recording.delayed": "the store did not take what came of provider calls; it is offered again",
    "purge.done": "what had outlived its retention was deleted; rows by kind",
    "request.failed": "a request ended in an unexpected error; the class only",
    "sweep.done": "the sweeper found rows to act on",
    "sweep.failed": "the sweeper or the poll failed, for example because the store is away; it tries again",
    "template.withdrawn": "the emergency brake: nothing more is sent from a version, what waits on it is held",
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


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, as docs/operations.md tells it.

    ``high``: what to do when it is high.  ``counted``: every process counts for itself, so add them up; otherwise it
    is read from the tables at the scrape and the same from every process, so take the highest.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str
    high: str
    counted: bool


METRICS: dict[str, Metric] = {}
registry = CollectorRegistry()  # what this process counts
ProcessCollector(registry=registry)
CAP = 10_000  # a scrape counts no rows beyond: it must cost the same on a bad day


def _counter(name: str, meaning: str, *labels: str, high: str) -> Counter:
    METRICS[name] = Metric(name, "counter", labels, meaning, high, counted=True)
    return Counter(name, meaning, labels, registry=registry)


def _histogram(name: str, meaning: str, *labels: str, high: str, buckets: Sequence[float]) -> Histogram:
    METRICS[name] = Metric(name, "histogram", labels, meaning, high, counted=True)
    return Histogram(name, meaning, labels, registry=registry, buckets=buckets)


def _read(name: str, meaning: str, *labels: str, high: str) -> str:
    METRICS[name] = Metric(name, "gauge", labels, meaning, high, counted=False)
    return name


accepted = _counter(
    "botengang_accepted_total",
    "notifications accepted",
    "lane",
    high="More than planned? Ask who posts; `GATEWAY_CLIENT_PER_S` bounds each client.",
)
moved = _counter(
    "botengang_deliveries_total",
    "deliveries that reached a state; `class` is why, empty where all went well",
    "state",
    "account",
    "class",
    high="Many `failed` or `queued` of one account: `botengang doctor` probes it. Of one class: its sentence in the "
    "timeline says what to do.",
)
send_seconds = _histogram(
    "botengang_send_seconds",
    "duration of a provider call, seconds",
    "account",
    high="The provider or relay is slow. More workers help until its rate is reached; then only patience does.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
)
lateness_seconds = _histogram(
    "botengang_ring_to_send_seconds",
    "from the moment a delivery was due to the beginning of its provider call, seconds",
    "lane",
    high="Too few workers, too low a rate, or no doorbell: look at `botengang_doorbell_up`, then start more workers.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200),
)
group_size = _histogram(
    "botengang_group_size",
    "notifications or deliveries that shared one commit",
    "group",
    high="Nothing: large groups are how bursts stay cheap. Always 1 at high load means that clients post one by one.",
    buckets=(1, 2, 5, 10, 25, 50, 100, 200, 500),
)
bounces = _counter(
    "botengang_bounces_total",
    "mails to return addresses, by what they reported; `ignored` are answers and delays",
    "account",
    "kind",
    high="Many `failed`: look at their codes in the timelines, a policy one is about our reputation. `forged` or "
    "`malformed`: somebody plays, or a server writes what we cannot read.",
)
lapsed = _counter(
    "botengang_leases_lapsed_total",
    "leases that ran out and were healed, by the state they were found in",
    "state",
    high="A worker died or hangs: read its log. `sending` ends as uncertain, so look at `botengang_uncertain` too.",
)
account_openings = _counter(
    "botengang_account_openings_total",
    "how often an account's circuit opened, by why",
    "account",
    "class",
    high="Once: its messages are kept, and it is tried again by itself; `botengang accounts status`. Again and again: "
    "the provider is shaky; ask it, or give its weight to another account.",
)
limits_neared = _counter(
    "botengang_limits_neared_total",
    "how often a limit of a day came to 80 %, by what is counted",
    "account",
    "kind",
    high="Ask the provider for a higher step, or post less over this channel; beyond the limit the next channel takes "
    "over.",
)
doorbell_failures = _counter(
    "botengang_doorbell_failures_total",
    "rings that Redis did not take; the sweeper finds the rows",
    high="Redis is away or full: `botengang doctor`. Nothing is lost; deliveries start a little later.",
)
sweeps = _counter(
    "botengang_sweeps_total",
    "rounds of the sweeper, by whether they succeeded",
    "result",
    high="`failed` grows while the store is away. If `done` stands still in all processes, no worker runs.",
)
DATABASE_UP = _read(
    "botengang_database_up",
    "1 if this process reaches the database, else 0",
    high="At 0: start the database; requests are answered 503 until then, and nothing is lost.",
)
DOORBELL_UP = _read(
    "botengang_doorbell_up",
    "1 if this process reaches Redis (embedded: always), else 0",
    high="At 0: start Redis. Workers poll the tables meanwhile.",
)
OLDEST_DUE_S = _read(
    "botengang_oldest_due_seconds",
    "age of the oldest due delivery that nobody has claimed, seconds: the liveness of the whole",
    "lane",
    high="Alert on this one (urgent 60, normal 600). Are workers running (`botengang_sweeps_total`), does an account "
    "rest (`botengang accounts status`), are there enough workers?",
)
DUE = _read(
    "botengang_due",
    f"deliveries that are due and unclaimed; counted up to {CAP}",
    "lane",
    high="A backlog. If it grows, start workers or raise the rates that the provider allows.",
)
IN_FLIGHT = _read(
    "botengang_in_flight",
    f"deliveries that a worker holds: `claimed` or `sending`; counted up to {CAP}",
    "state",
    high="Not falling while nothing is sent: workers hang; restart them, the leases run out by themselves.",
)
UNCERTAIN = _read(
    "botengang_uncertain",
    f"deliveries of which nobody knows whether the provider took them; counted up to {CAP}",
    high="Answers of a provider were lost. Receipts or the deadline (`GATEWAY_UNCERTAIN_S`) settle them; look for a "
    "network fault.",
)
HELD = _read(
    "botengang_held",
    f"deliveries that wait for staff because their text was withdrawn; counted up to {CAP}",
    high="Somebody has to decide: `botengang templates held`, then `templates release` or `templates cancel-held`.",
)
DEAD_LETTERS = _read(
    "botengang_dead_letters",
    f"deliveries that failed for good in the last 24 hours, and no other channel was left; counted up to {CAP}",
    "account",
    high="`botengang deadletters list` has their classes; mend the cause, then requeue or cancel them.",
)
CIRCUIT = _read(
    "botengang_circuit",
    "0: the account sends, 1: one call is tried, 2: it rests after failures",
    "account",
    high="The log has `account.misconfigured` or the provider is down: `botengang doctor` says what its probe says.",
)
PAUSED = _read(
    "botengang_account_paused",
    "1 if an operator has paused the account, else 0",
    "account",
    high="Its messages are kept until they expire: `botengang accounts resume NAME` when the reason is gone.",
)
CALLBACK_LAG_S = _read(
    "botengang_callback_lag_seconds",
    "age of the oldest callback to a client that is due and not delivered, seconds",
    high="An endpoint of a client is down or slow, or no worker runs: `botengang callbacks list`. The feed of events "
    "has everything meanwhile.",
)


def class_of(code: str | None) -> str:
    """Return the label for a code: a bounded word, whatever a third party's adapter calls its own errors."""
    wide = WIDER.get(code or "", code or "")
    return wide if not wide or wide in SENTENCES else "other"


def page(read: Iterable[tuple[str, tuple[str, ...], float]]) -> bytes:
    """Return the metrics of this process in the text format of Prometheus (0.0.4).

    ``read``: (name, values of its labels, value) of what was read from the tables; what is missing is left out.
    """
    fresh = CollectorRegistry()
    gauges: dict[str, Gauge] = {}
    for name, labels, value in read:
        metric = METRICS[name]
        gauge = gauges.get(name) or Gauge(name, metric.meaning, metric.labels, registry=fresh)
        gauges[name] = gauge
        (gauge.labels(*labels) if labels else gauge).set(value)
    return bytes(generate_latest(registry)) + bytes(generate_latest(fresh))


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
