"""Who may import what from outside: one row for each third-party package, read from house.md's table.

A package without a row is refused, so that a new dependency is a decision and not an accident. Imports between our own
packages are import-linter's (see test_layers).
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import tree

ADAPTERS = ("channels.email_smtp", "channels.sms_twilio", "channels.whatsapp_twilio", "channels.telegram_bot")
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    # HTTP in
    "fastapi": ("gateway.http",),
    "starlette": ("gateway.http", "channels.sandbox"),
    "uvicorn": ("gateway.processes",),
    # HTTP out, and the providers' own libraries
    "aiohttp": ("gateway.egress", "gateway.demo", "channels.telegram_bot", "channels.sandbox"),
    "dns": ("gateway.resolver",),
    "yarl": ("gateway.egress", "channels.sandbox"),
    "standardwebhooks": ("gateway.egress",),
    "aiosmtplib": ("channels.email_smtp",),
    "telegram": ("channels.telegram_bot",),
    "twilio": ("channels.sms_twilio", "channels.whatsapp_twilio", "channels.kit.twilio", "channels.sandbox"),
    "aiosmtpd": ("channels.sandbox", "gateway.bounces"),
    "flufl": ("channels.kit.dsn",),
    # tables and doorbell
    "sqlalchemy": ("gateway.store",),
    "alembic": ("gateway.store",),
    "aiosqlite": ("gateway.store",),
    "asyncpg": ("gateway.store",),
    "arq": ("gateway.queue", "workers"),
    "redis": ("gateway.queue", "workers"),
    "fakeredis": ("gateway.queue",),
    # texts
    "jinja2": ("gateway.render", "gateway.http", "channels.sandbox"),
    "markupsafe": ("gateway.render", "gateway.http"),
    "markdown_it": ("gateway.render",),
    "nh3": ("gateway.render",),
    "css_inline": ("gateway.render",),
    "babel": ("gateway.render",),
    # addresses and shapes
    "phonenumbers": ("channels.kit",),
    "email_validator": ("channels.kit",),
    "pydantic": ("gateway.http", "gateway.settings", "gateway.bootstrap", "channels"),
    "pydantic_settings": ("gateway.settings",),
    "msgspec": ("gateway.http", "gateway.usecases", "gateway.queue"),
    # secrets
    "cryptography": ("gateway.store", "channels.sandbox", "channels.conformance"),
    # the suite that every adapter has to pass, third parties' too
    "pytest": ("channels.conformance",),
    "hypothesis": ("channels.conformance",),
    # an operator's screen, and what is seen of a running process
    "typer": ("gateway.cli", "gateway.commands", "gateway.demo"),
    "rich": ("gateway.cli", "gateway.commands", "gateway.demo"),
    "structlog": ("gateway.telemetry",),
    "prometheus_client": ("gateway.telemetry",),
}
# From the standard library: what would give a pure floor a clock, dice, a network or a disk.
IMPURE = frozenset(
    [
        "asyncio",
        "concurrent",
        "http",
        "io",
        "logging",
        "multiprocessing",
        "os",
        "pathlib",
        "random",
        "secrets",
        "shutil",
        "signal",
        "smtplib",
        "socket",
        "sqlite3",
        "ssl",
        "subprocess",
        "tempfile",
        "threading",
        "time",
        "urllib.request",
        "uuid",
    ]
)
PURE = ("gateway.domain",)
BACK_DOORS = frozenset({"http.client", "smtplib", "urllib.request", "sqlite3"})
LOG_CALLS = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log"})


def outside(module: str) -> str:
    """Return the third-party package that a dotted import belongs to, or "" for ours and the standard library."""
    top = module.partition(".")[0]
    return "" if top in sys.stdlib_module_names or top in tree.PRODUCT else top


def strangers(root: Path) -> list[str]:
    """Return each import of a third-party package from a place where its row does not allow it."""
    return [
        f"{path}:{line} imports {package}"
        for path, code in tree.product(root)
        for line, module in tree.imports(code)
        if (package := outside(module)) and not tree.within(tree.module_of(path), MAY_IMPORT.get(package, ()))
    ]


def impurities(root: Path) -> list[str]:
    """Return each import that would give a pure floor I/O, a clock or dice, or anybody a back door to the network."""
    return [
        f"{path}:{line} imports {module}"
        for path, code in tree.product(root)
        for line, module in tree.imports(code)
        if any(tree.within(module, (name,)) for name in _refused(tree.module_of(path)))
    ]


def _refused(module: str) -> frozenset[str]:
    if tree.within(module, PURE):
        return IMPURE
    return BACK_DOORS - {"sqlite3"} if tree.within(module, ("gateway.store",)) else BACK_DOORS


def talkers(root: Path) -> list[str]:
    """Return each place where an adapter or the kit prints or logs; quieting a library's logger is no log."""
    return [
        f"{path}:{node.lineno} logs"
        for path, code in tree.product(root)
        if tree.within(module := tree.module_of(path), ("channels",)) and not tree.within(module, ("channels.sandbox",))
        for node in ast.walk(code)
        if isinstance(node, ast.Call) and _talks(node.func)
    ]


def _talks(called: ast.expr) -> bool:
    if isinstance(called, ast.Attribute):
        return called.attr in LOG_CALLS and "log" in ast.unparse(called.value).lower()
    return isinstance(called, ast.Name) and called.id == "print"


def _environment(code: ast.AST) -> Iterator[int]:
    for node in ast.walk(code):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            if node.attr in {"environ", "environb", "getenv", "putenv"}:
                yield node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from (node.lineno for alias in node.names if alias.name in {"environ", "getenv"})


def environment_readers(root: Path) -> list[str]:
    """Return each place that reads the environment, but for the settings and the sandbox's own main."""
    allowed = ("gateway.settings", "channels.sandbox.__main__")
    return [
        f"{path}:{line} reads the environment"
        for path, code in tree.product(root)
        if not tree.within(tree.module_of(path), allowed)
        for line in _environment(code)
    ]


def test_third_party_packages_stay_in_their_rooms():
    """SQL is in the store, arq in the queue room, a provider's library in its adapter, and nowhere else."""
    assert strangers(tree.ROOT) == []


def test_the_pure_floors_are_pure():
    """The domain reads no clock, disk or dice, and nobody opens a connection by the back door."""
    assert impurities(tree.ROOT) == []


def test_adapters_log_nothing():
    """They return facts; what is worth a line is decided by the core, which knows what must not be in it."""
    assert talkers(tree.ROOT) == []


def test_only_the_settings_read_the_environment():
    """One place knows where configuration comes from."""
    assert environment_readers(tree.ROOT) == []


def test_every_row_names_places_that_exist():
    """A row that outlived its room would allow what nobody meant to allow."""
    rooms = {tree.module_of(path) for path, _ in tree.product()}
    gone = {
        place for places in MAY_IMPORT.values() for place in places if not any(tree.within(r, (place,)) for r in rooms)
    }
    assert gone == set()


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("gateway/usecases/accept.py", "from sqlalchemy import select"),
        ("gateway/http/app.py", "import arq"),
        ("gateway/domain/planning.py", "import msgspec"),
        ("channels/email_smtp.py", "import aiohttp"),
        ("workers/tasks.py", "def f():\n    import twilio.rest"),
        ("gateway/egress.py", "import requests"),
        ("gateway/storekeeping.py", "import sqlalchemy"),
    ],
)
def test_a_package_in_the_wrong_room_is_named(tmp_path: Path, path: str, line: str):
    """Plain, aliased and lazy imports are seen; a package without a row and a room with a similar name are refused."""
    assert len(strangers(tree.plant(tmp_path, {path: line + "\n"}))) == 1


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("gateway/domain/planning.py", "import random"),
        ("gateway/domain/calendar.py", "from time import monotonic"),
        ("gateway/usecases/callbacks.py", "import urllib.request"),
        ("channels/sms_twilio.py", "import smtplib"),
    ],
)
def test_an_impure_import_is_named(tmp_path: Path, path: str, line: str):
    """Dice and clocks in the domain, raw HTTP in a use case and raw SMTP in an adapter are all seen."""
    assert len(impurities(tree.plant(tmp_path, {path: line + "\n"}))) == 1


def test_the_pure_may_import_what_is_pure(tmp_path: Path):
    """``urllib.parse`` is arithmetic on text: a rule for ``urllib.request`` must not refuse it."""
    assert impurities(tree.plant(tmp_path, {"gateway/domain/a.py": "from urllib.parse import quote\n"})) == []


@pytest.mark.parametrize(
    "line", ["import os\nX = os.environ['X']", "import os\nos.getenv('X')", "from os import environ"]
)
def test_a_reader_of_the_environment_is_named(tmp_path: Path, line: str):
    """Each usual way to read a variable is seen outside the settings, and allowed inside."""
    root = tree.plant(tmp_path, {"gateway/bootstrap.py": line + "\n", "gateway/settings.py": line + "\n"})
    assert [one.split(":")[0] for one in environment_readers(root)] == ["gateway/bootstrap.py"]


@pytest.mark.parametrize(
    "line", ["log.info('x')", "self._logger.warning('x')", "logging.getLogger('x').error('x')", "print(1)"]
)
def test_an_adapter_that_talks_is_named(tmp_path: Path, line: str):
    """Each usual way to say something is seen in an adapter, and allowed in the sandbox."""
    quiet = "import logging\nlogging.getLogger('sdk').setLevel(30)\n"
    root = tree.plant(tmp_path, {"channels/memory.py": quiet + line + "\n", "channels/sandbox/server.py": line + "\n"})
    assert talkers(root) == ["channels/memory.py:3 logs"]
