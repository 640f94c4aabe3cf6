"""docs/operations.md tells every metric there is, in the words of telemetry.METRICS, and what to do when it is high.

Where they differ, the assertion shows the right row: copy it.
"""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import Counter, Histogram

from gateway import telemetry
from tests.house import tree

OPERATIONS = Path("docs/operations.md")
UNBOUNDED = {"template", "client", "recipient", "notification", "delivery", "address", "reference", "url"}


def rows() -> list[str]:
    """Return the Markdown row of each metric."""
    return [
        f"| `{one.name}` | {one.kind} | {', '.join(one.labels) or 'none'} | {one.meaning} | {one.high} |"
        for one in telemetry.METRICS.values()
    ]


def test_every_metric_is_in_the_document():
    """An operator finds each with its meaning and what to do, in the words of the code."""
    lines = tree.text(tree.ROOT, OPERATIONS).splitlines()
    assert [row for row in rows() if row not in lines] == []


def test_the_document_tells_no_metric_that_is_not_there():
    """A renamed metric leaves no promise behind, neither in a row nor in an alert rule."""
    text = tree.text(tree.ROOT, OPERATIONS)
    named = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\bbotengang_[a-z_]+", text)}
    assert named - set(telemetry.METRICS) == set()


def test_the_list_and_the_registry_agree():
    """Whatever a process counts is in the list, and what the list says is counted is registered."""
    collectors = {one for one in telemetry.registry._collector_to_names if isinstance(one, Counter | Histogram)}
    registered = {one._name + ("_total" if isinstance(one, Counter) else "") for one in collectors}
    assert registered == {one.name for one in telemetry.METRICS.values() if one.counted}


def test_no_label_can_grow_without_bound():
    """Labels are lanes, states, classes and configured accounts: never people, texts or clients."""
    assert {one.name for one in telemetry.METRICS.values() if UNBOUNDED & set(one.labels)} == set()


def test_every_metric_says_what_to_do():
    """A figure without a remedy only frightens."""
    assert [one.name for one in telemetry.METRICS.values() if not one.meaning or len(one.high) < 20] == []
