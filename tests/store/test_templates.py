"""Template versions: numbering, approval and withdrawal, also when two people act at once."""

from __future__ import annotations

import asyncio

import pytest

from gateway.domain.errors import CallerError, Conflict, Forbidden, NotFound
from gateway.store import templates
from gateway.store.engine import Database
from gateway.store.templates import VersionRow
from tests.support.clock import START


async def _draft(db: Database, name: str, key: str = "postfach_neu", number: int | None = None) -> VersionRow:
    async with db.write() as conn:
        return await templates.insert_version(
            conn, id=name, key=key, content="text", content_hash="hash", author="anna", now=START, number=number
        )


async def _approve(db: Database, name: str, approver: str = "bert") -> VersionRow:
    async with db.write() as conn:
        return await templates.approve(conn, name, approver=approver, now=START)


async def _states(db: Database) -> dict[str, str]:
    async with db.read() as conn:
        return {one.id: one.state for one in await templates.listing(conn)}


async def test_drafts_are_numbered_within_their_key(db: Database):
    """Each key counts for itself; what comes back is what was stored."""
    made = [await _draft(db, "a1"), await _draft(db, "a2"), await _draft(db, "b1", "erinnerung")]
    assert [one.number for one in made] == [1, 2, 1]
    async with db.read() as conn:
        assert await templates.by_ids(conn, ["a2", "unknown"]) == {"a2": made[1]}
        assert await templates.latest(conn, "postfach_neu") == made[1]
        assert await templates.latest(conn, "unknown") is None
        assert await templates.listing(conn) == [made[2], made[0], made[1]]


async def test_drafts_made_at_once_get_different_numbers(db: Database):
    """Eight drafts of one key at the same instant are numbered 1 to 8."""
    made = await asyncio.gather(*(_draft(db, f"v{n}") for n in range(8)))
    assert sorted(one.number for one in made) == list(range(1, 9))


async def test_a_taken_number_is_a_conflict(db: Database):
    """A given number that is there already is refused, and the transaction is still usable."""
    await _draft(db, "v1", number=7)
    with pytest.raises(Conflict) as caught:
        await _draft(db, "v2", number=7)
    assert caught.value.code == "version_exists"


async def test_an_approval_replaces_the_one_before(db: Database):
    """Approving a second version makes the first one ``replaced``; other keys are not touched."""
    for name, key in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        await _draft(db, name, key)
        done = await _approve(db, name)
        assert (done.state, done.approver, done.approved_at) == ("approved", "bert", START)
    assert await _states(db) == {"a1": "replaced", "a2": "approved", "b1": "approved"}
    async with db.read() as conn:
        assert [one.id for one in await templates.approved(conn)] == ["a2", "b1"]
        assert [one.id for one in await templates.approved(conn, ["b", "unknown"])] == ["b1"]
        assert await templates.approved_ids(conn) == {"a": "a2", "b": "b1"}


async def test_approvals_at_once_leave_one_approved(db: Database):
    """Six people approve six drafts of one key at the same instant: all succeed in turn, one remains approved."""
    for n in range(6):
        await _draft(db, f"v{n}")
    await asyncio.gather(*(_approve(db, f"v{n}") for n in range(6)))
    assert sorted((await _states(db)).values()) == ["approved", *["replaced"] * 5]


async def test_one_draft_is_approved_once(db: Database):
    """Of two approvals of the same draft at the same instant one wins, the other is told why not."""
    await _draft(db, "v1")
    results = await asyncio.gather(*(_approve(db, "v1", who) for who in ("bert", "cleo")), return_exceptions=True)
    assert [one.code for one in results if isinstance(one, CallerError)] == ["not_a_draft"]
    assert [one.state for one in results if isinstance(one, VersionRow)] == ["approved"]


async def test_authors_do_not_approve_their_own(db: Database):
    """The author is refused, and the draft stays a draft."""
    await _draft(db, "v1")
    with pytest.raises(Forbidden) as caught:
        await _approve(db, "v1", "anna")
    assert caught.value.code == "four_eyes"
    assert await _states(db) == {"v1": "draft"}


async def test_a_withdrawn_version_is_out_of_use(db: Database):
    """Withdrawing leaves the key without an approved version; it can neither be approved nor withdrawn again."""
    await _draft(db, "v1")
    await _approve(db, "v1")
    async with db.write() as conn:
        assert (await templates.withdraw(conn, "v1")).state == "withdrawn"
    async with db.read() as conn:
        assert await templates.approved(conn) == []
    for act in (templates.withdraw, lambda conn, name: templates.approve(conn, name, approver="bert", now=START)):
        with pytest.raises(Conflict):
            async with db.write() as conn:
                await act(conn, "v1")


async def test_an_unknown_version_is_not_found(db: Database):
    """Deciding about a version that does not exist is NotFound."""
    with pytest.raises(NotFound):
        await _approve(db, "unknown")
