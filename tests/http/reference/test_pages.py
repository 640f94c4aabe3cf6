"""The pages about the API: readable without scripts or other hosts, complete, and their examples run as they stand."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvicorn
from fastapi import FastAPI

from gateway.http import problems
from gateway.usecases import access
from gateway.usecases.runtime import Runtime
from tests.http.conftest import problem
from tests.support import databases
from tests.support.waiting import wait_until

VOID = {"meta", "link", "br"}


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """Return one kind of database only: nothing here depends on it."""
    return databases.sqlite_copy(sqlite_template, tmp_path)


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """Lend a listening socket on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@pytest.fixture
def public_url(listening: socket.socket) -> str:
    """Set the public address to that port, so that the examples lead there."""
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest_asyncio.fixture
async def web(app: FastAPI, rt: Runtime, listening: socket.socket) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the program over a real socket and lend a browser without a key."""
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False))
    serving = asyncio.create_task(server._serve(sockets=[listening]))
    await wait_until(lambda: server.started)
    async with httpx.AsyncClient(base_url=rt.policy.public_url) as client:
        yield client
    server.should_exit = True
    await serving


class Page(HTMLParser):
    """What a page is made of: its elements, ids, links, and the texts of elements with an id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: dict[str, str] = {}
        self._open: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the element."""
        given = dict(attrs)
        self.tags.add(tag)
        self.attributes |= set(given)
        self.links |= {given[name] or "" for name in ("href", "src") if name in given}
        if "id" in given:
            self.ids.append(given["id"] or "")
        if tag not in VOID:
            self._open.append((tag, given.get("id") or ""))

    def handle_endtag(self, tag: str) -> None:
        """Check that elements are closed in order."""
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        """Collect the text of the innermost element with an id."""
        if self._open and self._open[-1][1]:
            self.texts[self._open[-1][1]] = self.texts.get(self._open[-1][1], "") + data


async def run(*command: str, key: str) -> str:
    """Run an example as a caller would, and return what it prints."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "BOTENGANG_KEY": key},
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_the_examples_run_as_they_stand(web: httpx.AsyncClient, rt: Runtime):
    """Copied from the page, the Python and the curl example each post a first message with a test key."""
    key = await access.create_key(rt, "portal", test=True)
    page = Page((await web.get("/docs")).text)
    said = await run(sys.executable, "-I", "-c", page.texts["python"], key=key)
    assert re.fullmatch(r"[0-9a-f-]{36} pending\n", said)
    if not shutil.which("curl"):
        pytest.skip("there is no curl here to try its example with")
    shell = re.sub(r"^export BOTENGANG_KEY=.*$", "", page.texts["curl"], flags=re.MULTILINE)
    assert '"state":"pending"' in await run("sh", "-c", shell, key=key)


async def test_the_page_shows_every_operation(web: httpx.AsyncClient):
    """Each operation of the document is an anchor on the page and in its contents, with its path."""
    document: dict[str, Any] = (await web.get("/openapi.json")).json()
    text = (await web.get("/docs")).text
    page = Page(text)
    for path, methods in document["paths"].items():
        for told in methods.values():
            assert told["operationId"] in page.ids
            assert f"#{told['operationId']}" in page.links
        assert f"<code>{path}</code>" in text
    assert len(set(page.ids)) == len(page.ids)


async def test_pages_need_nothing_but_this_program(web: httpx.AsyncClient):
    """No script, no inline style, no other host; every link leads to something that is there; the policy says so."""
    style = await web.get("/docs/reference.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "url(" not in style.text
    assert "@import" not in style.text
    for path in ("/docs", "/problems", "/problems/invalid"):
        answer = await web.get(path)
        page = Page(answer.text)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.tags.isdisjoint({"script", "style", "img", "iframe", "form"})
        assert not [name for name in page.attributes if name == "style" or name.startswith("on")]
        for link in page.links:
            if link.startswith("#"):
                assert link[1:] in page.ids, link
            else:
                assert (await web.get(link)).status_code == 200, link


async def test_every_problem_has_its_page(web: httpx.AsyncClient):
    """The type of each problem is an address that says what it means and what to do; others are 404."""
    listed = Page((await web.get("/problems")).text).links
    for kind in problems.KINDS.values():
        answer = await web.get(kind.type)
        assert answer.status_code == 200
        assert kind.title in answer.text
        assert kind.type in listed
    problem(await web.get("/problems/gibt-es-nicht"), 404, "not_found")


async def test_the_front_door_leads_to_the_documentation(web: httpx.AsyncClient):
    """Who opens the bare address finds the API."""
    answer = await web.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


async def test_a_chunked_body_is_counted_by_the_server_too(web: httpx.AsyncClient, rt: Runtime):
    """Over a real connection, a body without Content-Length is refused at the limit."""
    key = await access.create_key(rt, "portal")

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(2 * rt.policy.max_body_bytes // 65_536):
            yield b" " * 65_536

    sent = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "Idempotency-Key": "k"}
    answer = await web.post("/v1/notifications", content=endless(), headers=sent)
    problem(answer, 413, "body_too_large")
