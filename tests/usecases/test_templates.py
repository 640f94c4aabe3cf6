"""Texts: drafts from files, approved by somebody else after the checks, described to callers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from sqlalchemy import select

from gateway.domain.errors import Conflict, Invalid, NotFound
from gateway.store.engine import Database
from gateway.store.tables import audit
from gateway.store.vault import Vault
from gateway.usecases import accept, templates
from gateway.usecases.runtime import Runtime
from tests.support.clock import ManualClock
from tests.support.runtime import CALLER, catalogue, open_runtime, posted, put

KEY = "unterlagen_fehlen"


@pytest_asyncio.fixture
async def rt(db: Database, vault: Vault, clock: ManualClock) -> AsyncIterator[Runtime]:
    """Lend a Runtime without any text."""
    async with open_runtime(db, vault, clock) as opened:
        yield opened


async def test_a_draft_is_not_sent_and_an_approved_text_is(rt: Runtime):
    """Pushing decides nothing; approving makes it the text of its key."""
    await put(rt)
    pushed = await templates.push(rt, [catalogue()[KEY]], author="anna")
    assert [(one["key"], one["number"], one["state"]) for one in pushed] == [(KEY, 1, "draft")]
    with pytest.raises(Invalid) as told:
        await accept.accept(rt, CALLER, posted())
    assert told.value.faults[0].code == "template_unknown"
    assert await templates.drafts(rt) == [KEY]
    await templates.approve(rt, KEY, approver="berta")
    assert await templates.drafts(rt) == []
    assert (await accept.accept(rt, CALLER, posted())).answer["state"] == "pending"


async def test_pushing_what_is_there_already_changes_nothing(rt: Runtime):
    """The same files can be pushed at every start; a change makes the next version."""
    content = catalogue()[KEY]
    await templates.push(rt, [content], author="anna")
    again = await templates.push(rt, [content], author="anna")
    changed = await templates.push(rt, [replace(content, title="Neuer Titel")], author="anna")
    assert [(one["number"], one["state"]) for one in [*again, *changed]] == [(1, "unchanged"), (2, "draft")]


async def test_nobody_approves_their_own_text(rt: Runtime):
    """Author and approver are two persons, and the refusal leaves the draft a draft."""
    await templates.push(rt, [catalogue()[KEY]], author="anna")
    with pytest.raises(Conflict) as told:
        await templates.approve(rt, KEY, approver="anna")
    assert told.value.code == "four_eyes"
    assert await templates.published(rt) == []


async def test_a_text_with_problems_is_not_approved(rt: Runtime):
    """The checks run at approval and name the place; nothing is sent from a text that failed them (A-09)."""
    old = catalogue()[KEY]
    bad = replace(old.texts["de"], message="Ihr Jobcenter fragt bis {{ frist }} hier: {{ link }} - danke.")
    await templates.push(rt, [replace(old, texts={**old.texts, "de": bad})], author="anna")
    with pytest.raises(Invalid) as told:
        await templates.approve(rt, KEY, approver="berta")
    assert told.value.code == "template_invalid"
    assert told.value.faults
    assert await templates.published(rt) == []


async def test_there_must_be_a_draft(rt: Runtime):
    """Unknown keys and texts that are approved already are told apart."""
    with pytest.raises(NotFound):
        await templates.approve(rt, KEY, approver="berta")
    await templates.push(rt, [catalogue()[KEY]], author="anna")
    await templates.approve(rt, KEY, approver="berta")
    with pytest.raises(Conflict):
        await templates.approve(rt, KEY, approver="berta")


async def test_callers_see_the_approved_version_with_the_schema_of_its_variables(rt: Runtime):
    """What a backend service needs for posting: variables, languages, channels, class; drafts are not shown."""
    content = catalogue()[KEY]
    await templates.push(rt, [content], author="anna")
    with pytest.raises(NotFound):
        await templates.describe(rt, KEY)
    await templates.approve(rt, KEY, approver="berta")
    await templates.push(rt, [replace(content, title="Entwurf")], author="anna")
    told = await templates.describe(rt, KEY)
    assert (told["version"], told["title"], told["class"]) == (1, content.title, "K1")
    assert set(told["variables"]["properties"]) == {"frist", "link"}
    assert "de-x-leicht" in told["languages"]
    assert [one["key"] for one in await templates.published(rt)] == [KEY]


async def test_who_pushed_and_who_approved_is_on_record(rt: Runtime):
    """Both are in the audit, with key and number."""
    await templates.push(rt, [catalogue()[KEY]], author="anna")
    await templates.approve(rt, KEY, approver="berta")
    async with rt.db.read() as conn:
        rows = await conn.execute(select(audit.c.actor, audit.c.verb, audit.c.object).order_by(audit.c.id))
        entries = [tuple(one) for one in rows]
    assert entries == [("anna", "template.pushed", f"{KEY}/1"), ("berta", "template.approved", f"{KEY}/1")]


async def test_the_whole_catalogue_can_be_approved(rt: Runtime):
    """Every file of the repository passes its own checks in one go, in any order of keys."""
    await templates.push(rt, list(catalogue().values()), author="files")
    for key in await templates.drafts(rt):
        await templates.approve(rt, key, approver="berta")
    assert [one["key"] for one in await templates.published(rt)] == sorted(catalogue())
