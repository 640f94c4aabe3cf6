"""What an examination works on and what it answers with; the examining is gateway.usecases.doctor's.

Parts rather than a Runtime, because what a doctor is called for is that something cannot be opened. Findings hold no
secret and no address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path

from channels.kit.contract import Clock
from gateway.queue.jobs import ArqDoorbell
from gateway.resolver import Resolver
from gateway.store.engine import Database
from gateway.store.vault import Vault
from gateway.usecases.runtime import OpenAccount


class Level(StrEnum):
    """How it stands."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination. ``do``: what to do about it, "" where all is well."""

    area: str
    level: Level
    told: str
    do: str = ""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What could be opened, and why the rest could not."""

    clock: Clock
    public_url: str
    folder: Path
    resolver: Resolver
    db: Database | None = None
    db_problem: str = ""
    vault: Vault | None = None
    vault_problem: str = ""
    doorbell: ArqDoorbell | None = None  # None: it is inside the process
    accounts: Mapping[str, OpenAccount] = field(default_factory=dict)
    broken: Mapping[str, Sequence[str]] = field(default_factory=dict)  # account -> what is wrong with its settings
    review_by: Mapping[str, date | None] = field(default_factory=dict)
    examples: Sequence[str] = ()  # settings that still name the example's pages
    has_metrics_token: bool = False


def ok(area: str, told: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(area, Level.OK, told)


def warn(area: str, told: str, do: str) -> Finding:
    """Return a finding that needs a look."""
    return Finding(area, Level.WARN, told, do)


def bad(area: str, told: str, do: str) -> Finding:
    """Return a finding that keeps the gateway from its work."""
    return Finding(area, Level.BAD, told, do)
