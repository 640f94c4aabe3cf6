"""One explanation in two languages: the form of everything in gateway.domain.reasons."""

from __future__ import annotations

from typing import NamedTuple


class Sentence(NamedTuple):
    """One explanation: what happened, and what to do next."""

    de: str
    en: str
