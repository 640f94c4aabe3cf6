"""The OpenAPI document: what FastAPI cannot know by itself, because bodies are read after the guard, not before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway.http import bodies
from gateway.http.api import answers
from gateway.http.problems import KINDS, MEDIA_TYPE, document

API_VERSION = "1.0.0"  # of the interface, not of the program
_REF = "#/components/schemas/{model}"
_WAITING = (429, 503)
_bodies: dict[str, type[BaseModel]] = {}

DESCRIPTION = """
Tell people something: post a notification, and the gateway plans which channels may carry it, sends it, moves on to
the next channel where one fails, and keeps a timeline that says what happened and why.

Every error is an `application/problem+json` document (RFC 9457) whose `type` is a page of this gateway. Times are
RFC 3339 with an offset; answers use UTC. Unknown fields are refused.
""".strip()
TAGS = [
    {"name": "Notifications", "description": "Tell one recipient, or ten thousand, one thing each."},
    {"name": "Recipients", "description": "Who they are to the authority, and how they want to be reached."},
    {"name": "Consents", "description": "An append-only ledger: no entry, no message."},
    {"name": "Templates", "description": "What can be said; approved by people, pinned at acceptance."},
    {"name": "Callbacks", "description": "Be told what happens: signed posts to your endpoints, or a feed to poll."},
    {"name": "Webhooks", "description": "For providers."},
    {"name": "Health", "description": "For whoever runs this."},
]


def body_of(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """Return the ``openapi_extra`` of a route that reads ``model`` as JSON."""
    _bodies[model.__name__] = model
    content = {bodies.JSON: {"schema": _reference(model)}}
    return {"requestBody": {"required": required, "content": content}}


def batch_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the ``openapi_extra`` of a route that reads many of ``model``, as an array or as NDJSON."""
    _bodies[model.__name__] = model
    array = {"type": "array", "minItems": 1, "maxItems": bodies.MAX_ITEMS, "items": _reference(model)}
    lines = {"type": "string", "description": "One object per line, each like an item of the array."}
    return {
        "requestBody": {"required": True, "content": {bodies.JSON: {"schema": array}, bodies.NDJSON: {"schema": lines}}}
    }


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}


def problems_of(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` for these problems, one entry per status with an example for each code."""
    entries: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        kind = KINDS[code]
        examples: dict[str, Any] = {"schema": _reference(answers.Problem), "examples": {}}
        entry = entries.setdefault(kind.status, {"description": "", "content": {MEDIA_TYPE: examples}})
        if kind.status in _WAITING:
            entry["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
        entry["description"] = "; ".join(filter(None, (entry["description"], kind.title)))
        entry["content"][MEDIA_TYPE]["examples"][code] = {"summary": kind.title, "value": document(kind)}
    return entries


def answered(
    status: int, model: type[BaseModel], description: str, *codes: str, headers: Mapping[str, Any] | None = None
) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of a route: its answer, and the problems that it has besides those of every route."""
    answer: dict[str, Any] = {"model": model, "description": description}
    if headers:
        answer["headers"] = headers
    return {status: answer, **problems_of(*codes)}


BODY = ("malformed_json", "body_too_slow", "body_too_large", "unsupported_media_type", "invalid")
GUARDED = problems_of("unauthenticated", "missing_scope", "too_many_requests", "busy", "internal")


def operation_id(route: APIRoute) -> str:
    """Return a readable id: the tag and what the route does. It is also the anchor on the page."""
    return "-".join((*(str(tag) for tag in route.tags), *route.name.split("_"))).lower()


def build(app: FastAPI) -> dict[str, Any]:
    """Return the document of ``app``; made once, then kept."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=app.description,
            routes=app.routes,
            tags=app.openapi_tags,
            license_info={"name": "EUPL-1.2", "identifier": "EUPL-1.2"},
        )
        _complete(made)
        app.openapi_schema = made
    return app.openapi_schema


def _complete(made: dict[str, Any]) -> None:
    """Add the request models, and take out FastAPI's own form of validation error, which we never send."""
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    models: list[Any] = [(model, "validation") for model in (*_bodies.values(), answers.Problem)]
    _, definitions = models_json_schema(models, ref_template=_REF)
    schemas.update(definitions["$defs"])
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path in made["paths"].values():
        for operation in path.values():
            answered = operation.get("responses", {})
            shown = answered.get("422", {}).get("content", {})
            if "application/json" in shown:  # FastAPI's, added wherever a route has parameters
                answered["422"] = problems_of("invalid")[422]
    made["components"]["schemas"] = dict(sorted(schemas.items()))
