"""Compare three books: what the client was told, what the tables say, what the providers' stand-ins took.

Nothing here knows how the gateway works inside; a notification is judged by its address, which only it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from benchmarks.chaos.client import Told
from benchmarks.chaos.stage import Person
from benchmarks.chaos.tables import Row
from benchmarks.chaos.watch import Kill
from gateway.domain.reasons import SENTENCES, WIDER
from gateway.domain.retrying import AT_LEAST_ONCE, AT_MOST_ONCE
from gateway.domain.states import Outcome

OPEN = frozenset({Outcome.PENDING.value, Outcome.UNCERTAIN.value})
TAKEN = frozenset({Outcome.SUBMITTED.value, Outcome.DELIVERED.value})
REPORTING = frozenset({"sms"})  # the channels that report deliveries in this run
UNDONE = frozenset({"failed", "undelivered"})  # the provider took it, and said later that it could not


@dataclass(slots=True)
class Findings:
    """What is wrong, each with the number of the notification; all lists but the last must be empty."""

    lost: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)  # at_most_once
    unmarked: list[str] = field(default_factory=list)  # at_least_once, sent again without a word in the timeline
    again: list[str] = field(default_factory=list)  # at_least_once, sent again and marked

    @property
    def good(self) -> bool:
        """Tell whether the promise was kept."""
        return not (self.lost or self.stuck or self.twice or self.unmarked)


def audit(
    people: Sequence[Person], policies: Mapping[int, str], told: Told, rows: Mapping[str, Row],
    log: Sequence[Mapping[str, Any]],
) -> Findings:  # fmt: skip
    """Compare the books. ``policies``: by the number of the notification; ``log``: the stand-ins'."""
    findings = Findings()
    taken = acceptances(people, log)
    by_reference: dict[str, list[Row]] = {}
    for row in rows.values():
        by_reference.setdefault(row.reference, []).append(row)
    for person in people:
        mine = by_reference.get(person.id, [])
        number = person.number
        _judge(findings, person, policy=policies[number], ident=told.ids.get(number), mine=mine, taken=taken[number])
    return findings


def acceptances(people: Sequence[Person], log: Sequence[Mapping[str, Any]]) -> dict[int, list[Mapping[str, Any]]]:
    """Return what the stand-ins took for each notification, leaving out what they themselves called off later."""
    owners = {(name, address): one.number for one in people for name, address in one.addresses.items()}
    found: dict[int, list[Mapping[str, Any]]] = {one.number: [] for one in people}
    for entry in log:
        if entry["accepted"] and entry["status"] not in UNDONE:
            found[owners[entry["channel"], entry["to"]]].append(entry)
    return found


def _judge(
    findings: Findings, person: Person, *, policy: str, ident: str | None, mine: Sequence[Row],
    taken: Sequence[Mapping[str, Any]],
) -> None:  # fmt: skip
    """Judge one notification. ``ident``: the id that the client was told."""
    if ident is not None and ident not in {one.id for one in mine}:
        findings.lost.append(f"{person.id}: accepted, and not in the tables")
        return
    if len(mine) > 1:
        findings.twice.append(f"{person.id}: accepted {len(mine)} times under one key")
    for row in mine:
        if reason := unfinished(row):
            findings.stuck.append(f"{person.id}: {reason}")
        elif row.outcome in TAKEN and not taken:
            findings.lost.append(f"{person.id}: {row.outcome}, and no provider has it")
        elif reason := unexplained(row):
            findings.lost.append(f"{person.id}: {reason}")
    extra = len(taken) - 1
    if extra <= 0:
        return
    story = f"{person.id}: {', '.join(one['channel'] for one in taken)}; {_story(mine)}"
    if policy == AT_MOST_ONCE:
        findings.twice.append(story)
    elif policy == AT_LEAST_ONCE and sum(map(sent_again, mine)) >= extra:
        findings.again += [story] * extra
    else:
        findings.unmarked += [story] * extra


def unfinished(row: Row) -> str:
    """Return why a notification has not ended, or ""."""
    if row.outcome in OPEN:
        return f"still {row.outcome}; {_story([row])}"
    waiting = [one for one in row.deliveries if one["state"] == "submitted" and one["channel"] in REPORTING]
    if waiting and row.outcome == Outcome.SUBMITTED.value:
        return f"its receipt was not taken; {_story([row])}"
    return ""


def unexplained(row: Row) -> str:
    """Return what of an end nobody could explain to a person, or ""."""
    if row.outcome in TAKEN:
        return ""
    for one in row.deliveries:
        code = one["code"] or ""
        if one["state"] in {"failed", "skipped", "expired", "cancelled"} and WIDER.get(code, code) not in SENTENCES:
            return f"{one['channel']} {one['state']} with code {one['code']}"
    return ""


def sent_again(row: Row) -> int:
    """Return how often the timeline says that an unknown outcome was followed by another try."""
    return sum(one["event"] == "queued" and one["code"] == "uncertain" for one in row.events)


def _story(rows: Sequence[Row]) -> str:
    return " | ".join(
        " ".join(f"{one['event']}({one['code']})" if one["code"] else one["event"] for one in row.events)
        for row in rows
    )


def longest_silence_s(kills: Sequence[Kill], log: Sequence[Mapping[str, Any]], ahead: timedelta) -> float:
    """Return the longest time from a kill that found a backlog to the next message that a provider took.

    Where the last worker died meanwhile, it counts from that.
    """
    at = sorted(datetime.fromisoformat(one["at"]) - ahead for one in log if one["accepted"])
    worst = 0.0
    for kill in kills:
        after = next((one for one in at if one > kill.at), None)
        if not kill.backlog or after is None:
            continue
        if not any(other.alone and kill.at < other.at < after for other in kills):  # then it counts from there
            worst = max(worst, (after - kill.at).total_seconds())
    return worst
