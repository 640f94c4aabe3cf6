"""Keep limits over windows longer than a minute: reserve a place just before the call, or move on, or wait for one.

The arithmetic is gateway.domain.windows'; short rates are token buckets. Reserving costs the same however much was
sent before, and accounts without such limits cost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gateway import telemetry
from gateway.domain import windows
from gateway.domain.windows import CALLS, PEOPLE, Window
from gateway.store import accounts
from gateway.store.engine import Connection
from gateway.store.rows import Work
from gateway.usecases import steering
from gateway.usecases.runtime import OpenAccount, Runtime

log = telemetry.log()


@dataclass(slots=True)
class _Book:
    """One window of one account during a reservation."""

    window: Window
    counts: dict[datetime, int]
    taken: int
    changes: dict[datetime, int] = field(default_factory=dict)

    def move(self, hour: datetime, by: int) -> None:
        """Change the count of an hour."""
        self.changes[hour] = self.changes.get(hour, 0) + by


async def reserve(rt: Runtime, conn: Connection, works: Sequence[Work]) -> dict[str, datetime]:
    """Reserve a place for each delivery in the windows of its account, in the transaction that begins the sending.

    Returns, by delivery, when there will be room for those without a place. A person written to within the window
    costs nothing more. Processes take turns, so that together they never reserve more than there is.
    """
    full: dict[str, datetime] = {}
    for name in sorted({one.account for one in works if one.simulate is None}):
        account = rt.accounts.get(name)
        if account is not None and account.windows:
            mine = [one for one in works if one.account == name and one.simulate is None]
            full |= await _reserve(conn, account, mine, rt.clock.now())
    return full


async def _reserve(conn: Connection, account: OpenAccount, works: Sequence[Work], now: datetime) -> dict[str, datetime]:
    name, hour = account.facts.name, windows.hour_of(now)
    books = [await _open(conn, name, window, now) for window in account.windows]
    people = next((one for one in books if one.window.kind == PEOPLE), None)
    known = await accounts.last_contacts(conn, name, [one.contact_point for one in works]) if people else {}
    if people is not None:
        first = windows.oldest(people.window, now)
        known = {point: at for point, at in known.items() if windows.hour_of(at) >= first}
    full: dict[str, datetime] = {}
    met: set[str] = set()
    for one in works:
        wanted = [book for book in books if not (book is people and (one.contact_point in met | known.keys()))]
        short = [book for book in wanted if not windows.room(book.window, book.taken, one.lane)]
        if short:
            full[one.id] = max(windows.frees_at(book.window, book.counts, now) for book in short)
            continue
        for book in wanted:
            book.taken += 1
            book.move(hour, 1)
        if people is not None and one.contact_point in known and one.contact_point not in met:
            people.move(windows.hour_of(known[one.contact_point]), -1)
            people.move(hour, 1)
        met.add(one.contact_point)
    for book in books:
        await accounts.add(conn, name, book.window.kind, book.changes)
        _alarm(name, book)
    if people is not None:
        await accounts.contact(conn, name, list(met), at=now)
    return full


async def _open(conn: Connection, name: str, window: Window, now: datetime) -> _Book:
    counts = await accounts.counts(
        conn, name, window.kind, oldest=windows.oldest(window, now), hour=windows.hour_of(now)
    )
    return _Book(window, counts, windows.used(window, counts, now))


def _alarm(account: str, book: _Book) -> None:
    """Tell once that the window is nearly used up (B-W8: at 80 %)."""
    before = sum(book.counts.values())
    if windows.crossed(book.window, before, book.taken):
        telemetry.limits_neared.labels(account, book.window.kind).inc()
        log.warning("limit.neared", account=account, kind=book.window.kind, used=book.taken, limit=book.window.count)


async def no_room(rt: Runtime, works: Sequence[Work], full: Mapping[str, datetime]) -> None:
    """Move on what has another channel left; the rest waits for a place."""
    kept = await steering.hand_over(rt, works, code="daily_limit")
    await steering.wait_until(rt, [(one, full[one.id]) for one in kept], code="daily_limit")


async def used(rt: Runtime, account: str) -> list[tuple[Window, int]]:
    """Return the windows of an account with what is used of each."""
    now = rt.clock.now()
    async with rt.db.read() as conn:
        return [
            (one, windows.used(one, await accounts.peek(conn, account, one.kind, oldest=windows.oldest(one, now)), now))
            for one in rt.accounts[account].windows
        ]


async def forget(rt: Runtime) -> int:
    """Delete counts and contacts that no window reaches any more."""
    reach = max((one.length for account in rt.accounts.values() for one in account.windows), default=None)
    longest = reach or Window(CALLS, 0).length
    async with rt.db.write() as conn:
        return await accounts.forget(conn, before=rt.clock.now() - 2 * longest)
