"""The catalogue and a renderer, shared by the tests of rendering."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from channels.kit.contract import Capabilities, Message
from gateway.domain.content import Content
from gateway.render import catalogue
from gateway.render.render import Links, Renderer
from tests.render.samples import CAPABILITIES, FOLDER, LETTERHEAD, LINKS, SENT_AT, examples

Render = Callable[..., Message]


@pytest.fixture(scope="session")
def contents() -> dict[str, Content]:
    """Return the whole catalogue."""
    return catalogue.read_folder(FOLDER)


@pytest.fixture
def renderer() -> Renderer:
    """Return a renderer that has compiled nothing yet."""
    return Renderer(LETTERHEAD)


@pytest.fixture
def render(contents: dict[str, Content], renderer: Renderer) -> Render:
    """Return ``render(key_or_content, channel, language, **variables)``, with the examples for what is not given."""

    def call(
        what: str | Content, channel: str = "sms", language: str = "de", *, approved_id: str = "",
        capabilities: Capabilities | None = None, links: Links = LINKS, version_id: str = "v1", **variables: str,
    ) -> Message:  # fmt: skip
        content = contents[what] if isinstance(what, str) else what
        return renderer.render(
            version_id=f"{content.key}:{version_id}",
            content=content,
            capabilities=capabilities or CAPABILITIES[channel],
            language=language,
            variables=examples(content) | variables,
            delivery_id="d_01JN0000000000000000000000",
            links=links,
            sent_at=SENT_AT,
            approved_id=approved_id,
        )

    return call
