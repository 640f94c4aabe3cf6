"""What the consent ledger says today: per channel and purpose, the last entry stands.

The ledger itself is append-only and lives in gateway.store; nothing here writes it. Whether a person is old enough to
say yes is not decided here. Source: Art. 7 DSGVO, requirement A-04.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from gateway.domain.model import Consent

# Each purpose needs a yes of its own. The German line is what staff read beside the checkbox.
PURPOSES: Mapping[str, str] = MappingProxyType(
    {
        "dienst": "Nachrichten zum eigenen Anliegen: Termine, Postfach, Rückrufe",
        "info": "Freiwillige Hinweise: Erklärvideos, Veranstaltungen, Umfragen",
        "bekanntgabe_37_2a": "Benachrichtigung über Dokumente zum Abruf (§ 37 Abs. 2a SGB X)",
        "video": "Gespräche per Video",
        "k2_messenger": "Termindaten auch über Messenger",
    }
)

Standing = Mapping[tuple[str, str], Consent]


def standing(rows: Iterable[Consent]) -> dict[tuple[str, str], Consent]:
    """Return the standing entry of each (channel, purpose): the one with the highest ledger id, in any order of rows.

    The id decides and not ``at``: a withdrawal recorded last holds, even if its author's clock was slow.
    """
    latest: dict[tuple[str, str], Consent] = {}
    for row in rows:
        key = (row.channel, row.purpose)
        if key not in latest or row.id > latest[key].id:
            latest[key] = row
    return latest


def allows(entries: Standing, channel: str, purpose: str) -> Consent | None:
    """Return the ledger entry that permits writing, or None: no entry and a withdrawn one both mean no."""
    entry = entries.get((channel, purpose))
    return entry if entry is not None and entry.given else None


# One word is enough. Compared without case and punctuation, as the whole message. Translations are to be
# confirmed by native speakers.
STOP_WORDS = frozenset(
    {
        "stopp",
        "stop",
        "abmelden",
        "ende",
        "stoppen",
        "unsubscribe",
        "dur",
        "durdur",
        "стоп",
        "відписатися",
        "توقف",
        "قف",
    }
)


def is_stop(text: str) -> bool:
    """Tell whether a message is nothing but a stop word."""
    return "".join(char for char in text.casefold() if char.isalnum()) in STOP_WORDS
