"""Write what the verbs return as JSON: times in UTC after RFC 3339, names as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from gateway.domain.errors import CallerError
from gateway.http import problems


def _plain(value: Any) -> Any:
    """Return what msgspec does not know by itself in a form that it knows."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence | frozenset):
        return list(value)
    raise TypeError(type(value).__name__)


def json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return ``value`` as an HTTP answer."""
    body = msgspec.json.encode(value, enc_hook=_plain)
    return Response(body, status, dict(headers or {}), "application/json")


def item(index: int, result: Mapping[str, Any] | CallerError, status: int) -> dict[str, Any]:
    """Return the result of one item of a batch: its facts and ``status``, or its problem."""
    if isinstance(result, CallerError):
        problem = problems.told(result)
        return {"index": index, "status": problem["status"], "problem": problem}
    return {"index": index, "status": status, **result}
