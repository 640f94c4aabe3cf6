"""The OpenAPI document: whole, true to what is served, and its examples are taken by the models that they show."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from gateway.http import problems
from gateway.http.api import schemas
from gateway.http.reference.schemas import Reader
from tests.support import databases

BATCHES = {"/v1/notifications:batch", "/v1/recipients:batch"}


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """Return one kind of database only: nothing here depends on it."""
    return databases.sqlite_copy(sqlite_template, tmp_path)


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    """Fetch the document as anybody can."""
    del client.headers["Authorization"]
    answer = await client.get("/openapi.json")
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Return every operation."""
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            yield path, method, told


async def test_every_reference_leads_somewhere(document: dict[str, Any]):
    """It is version 3.1, every $ref resolves, and no schema of FastAPI's own errors is left."""
    assert document["openapi"].startswith("3.1")
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    used = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document)))
    assert used - known == set()
    assert not [name for name in known if "ValidationError" in name]


async def test_the_promised_routes_are_all_there(document: dict[str, Any]):
    """The paths are literally those of the contract."""
    assert {f"{method.upper()} {path}" for path, method, _ in operations(document)} == {
        "POST /v1/notifications",
        "POST /v1/notifications:batch",
        "POST /v1/notifications:preview",
        "GET /v1/notifications",
        "GET /v1/notifications/{id}",
        "POST /v1/notifications/{id}:cancel",
        "PUT /v1/recipients/{id}",
        "GET /v1/recipients/{id}",
        "POST /v1/recipients:batch",
        "PUT /v1/recipients/{id}/consents/{channel}/{purpose}",
        "DELETE /v1/recipients/{id}/consents/{channel}/{purpose}",
        "GET /v1/dead-letters",
        "POST /v1/dead-letters:requeue",
        "POST /v1/dead-letters:cancel",
        "GET /v1/templates",
        "GET /v1/templates/{key}",
        "POST /v1/callbacks",
        "GET /v1/callbacks",
        "GET /v1/callbacks/{id}",
        "DELETE /v1/callbacks/{id}",
        "POST /v1/callbacks/{id}:test",
        "POST /v1/callbacks/{id}:rotate",
        "POST /v1/callbacks/{id}:replay",
        "GET /v1/events",
        "POST /webhooks/{account}",
        "GET /livez",
        "GET /readyz",
    }


async def test_every_operation_is_told_whole(document: dict[str, Any]):
    """Each has an id of its own, a summary, a description, a good answer with a schema; errors are problems only."""
    ids = [told["operationId"] for _, _, told in operations(document)]
    assert len(set(ids)) == len(ids)
    for path, method, told in operations(document):
        assert told["summary"], (path, method)
        assert told["description"], (path, method)
        for status, answer in told["responses"].items():
            kinds = set(answer.get("content", {}))
            wanted = {"204": set()} | {code: {"application/json"} for code in ("200", "201", "202")}
            assert kinds == wanted.get(status, {problems.MEDIA_TYPE}), (path, status)
        assert ("security" in told) == path.startswith("/v1/"), path


async def test_a_post_needs_its_key_in_the_document_too(document: dict[str, Any]):
    """Generated clients learn that the Idempotency-Key is required."""
    parameters = document["paths"]["/v1/notifications"]["post"]["parameters"]
    assert [(one["name"], one["required"]) for one in parameters] == [("Idempotency-Key", True)]


async def test_examples_are_taken_by_the_models(document: dict[str, Any]):
    """What the page shows as an example of a body passes the validation of that body."""
    reader = Reader(document)
    shown = 0
    for path, method, told in operations(document):
        content = told.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None:
            continue
        example = reader.example(content["schema"])
        schema = content["schema"]["items"] if path in BATCHES else content["schema"]
        model = getattr(schemas, schema["$ref"].rpartition("/")[2])
        for one in example if path in BATCHES else [example]:
            model.model_validate_json(json.dumps(one))
            shown += 1
        assert method in {"post", "put", "delete"}
    assert shown == 11


async def test_limits_are_in_the_document(document: dict[str, Any]):
    """A generated client can check lengths, counts and forms before it posts."""
    told = document["components"]["schemas"]
    assert told["NotificationBody"]["additionalProperties"] is False
    assert told["RecipientItem"]["properties"]["id"]["maxLength"] == 100
    batch = document["paths"]["/v1/notifications:batch"]["post"]["requestBody"]["content"]
    assert batch["application/json"]["schema"]["maxItems"] == 10_000
    assert "application/x-ndjson" in batch


async def test_the_document_is_made_once(app: FastAPI):
    """Asking again gives the same object: the page and the document cannot differ."""
    assert app.openapi() is app.openapi()
