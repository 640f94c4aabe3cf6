"""Every log event is in telemetry's list, and every one in the list is used: operators read alerts off it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from gateway.telemetry import EVENTS
from tests.house import tree

LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}


def _is_log(node: ast.expr) -> bool:
    """Tell whether an expression is our logger: ``log()``, ``telemetry.log()``, or a name that ends in ``log``."""
    if isinstance(node, ast.Call):
        return _is_log(node.func)
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.lower().endswith(("log", "logger"))


def written(root: Path) -> Iterator[tuple[str, str]]:
    """Yield (place, event) of each log call; an event that is not a plain literal comes as "?"."""
    for path, code in tree.product(root):
        if tree.within(tree.module_of(path), ("channels", "gateway.telemetry")):
            continue
        for node in ast.walk(code):
            match node:
                case ast.Call(func=ast.Attribute(attr=level, value=logger)) if level in LEVELS and _is_log(logger):
                    first = node.args[0] if node.args else None
                    literal = isinstance(first, ast.Constant) and isinstance(first.value, str)
                    yield f"{path}:{node.lineno}", first.value if literal else "?"


def test_every_event_that_is_logged_is_listed():
    """No event appears in a log that the list does not explain."""
    assert [(place, event) for place, event in written(tree.ROOT) if event not in EVENTS] == []


def test_every_event_that_is_listed_is_logged():
    """The list promises nothing that never comes."""
    used = {event for _, event in written(tree.ROOT)}
    assert set(EVENTS) - used == set()


def test_every_event_is_a_noun_and_a_past_verb():
    """Names are alike, so that they can be searched for: ``deliveries.recorded``."""
    assert [event for event in EVENTS if not re.fullmatch(r"[a-z]+\.[a-z]+", event)] == []


def test_events_are_found_in_the_code(tmp_path: Path):
    """The usual ways to log are seen, built strings too, and other calls of the same name are not."""
    code = (
        'telemetry.log().info("a.b", x=1)\nself._log.error("c.d")\nlog().info(f"e.{x}")\nmath.log.info\nui.info("no")\n'
    )
    root = tree.plant(tmp_path, {"gateway/a.py": code})
    assert sorted(event for _, event in written(root)) == ["?", "a.b", "c.d"]
