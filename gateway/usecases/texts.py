"""The approved texts at this moment, as acceptance needs them: pinned versions with their twins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.domain.content import Content, language_tag
from gateway.domain.errors import Fault, Invalid
from gateway.domain.model import Version
from gateway.store import templates
from gateway.store.engine import Connection
from gateway.usecases.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Pinned:
    """A template version with its content, and its K1 twin if it has one that is approved."""

    version: Version
    content: Content
    twin: Version | None


class Texts:
    """The approved versions by key, read at one moment."""

    def __init__(self, approved: Mapping[str, str], contents: Mapping[str, Content]) -> None:
        """Keep ``approved`` (key -> version id) and the contents by version id."""
        self._approved = approved
        self._contents = contents

    def pin(self, key: str) -> Pinned:
        """Return the version to use now. Raises Invalid when there is none."""
        version_id = self._approved.get(key)
        if version_id is None:
            fault = Fault("/template", "template_unknown", "GET /v1/templates lists the approved ones")
            raise Invalid("There is no approved template with this key.", faults=[fault])
        content = self._contents[version_id]
        twin_id = self._approved.get(content.twin) if content.twin else None
        twin = _facts(twin_id, self._contents[twin_id]) if twin_id is not None else None
        return Pinned(_facts(version_id, content), content, twin)


def _facts(version_id: str, content: Content) -> Version:
    return Version(
        id=version_id,
        key=content.key,
        klass=content.klass,
        purpose=content.purpose,
        channels=content.channels,
        languages=tuple(language_tag(key) for key in content.texts),
        policy=content.policy,
        urgent=content.urgent,
    )


async def approved(rt: Runtime, conn: Connection, keys: Sequence[str] | None = None) -> Texts:
    """Read which versions are approved now; contents come from the cache, because versions never change."""
    ids = await templates.approved_ids(conn)
    wanted = set(ids.values()) if keys is None else {ids[key] for key in keys if key in ids}
    contents = dict(await rt.contents.of(conn, wanted))
    twins = {ids[contents[one].twin] for one in wanted if contents[one].twin in ids}
    return Texts(ids, await rt.contents.of(conn, twins))
