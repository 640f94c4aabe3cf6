"""The pages `/docs` and `/problems`, made on this machine from the OpenAPI document and the table of problems.

No script, nothing from other hosts; they read well on a phone, in the dark, by keyboard and on paper.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import jinja2
from fastapi import APIRouter, Request
from fastapi import Path as InPath
from starlette.responses import RedirectResponse, Response

from gateway.domain.errors import Fault, NotFound
from gateway.http import openapi, problems
from gateway.http.guards import Rt
from gateway.http.reference.schemas import Reader

router = APIRouter()

_HERE = Path(__file__).parent / "views"
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "public, max-age=300",
}
_EXAMPLES = {"invalid": [Fault("/recipient/id", "missing", "This field is required.")]}
_views = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


_views.filters["pretty"] = _pretty


@router.get("/")
async def front() -> Response:
    """Lead to the documentation."""
    return RedirectResponse("/docs", status_code=307)


@router.get("/docs")
async def docs(request: Request, rt: Rt) -> Response:
    """Show the API, readable."""
    document = openapi.build(request.app)
    return _page("reference.html", **_told(document), base=rt.policy.public_url)


@router.get("/docs/reference.css")
async def style() -> Response:
    """Give the look of these pages."""
    sent = {"Cache-Control": "public, max-age=300"}
    return Response((_HERE / "reference.css").read_bytes(), headers=sent, media_type="text/css")


@router.get("/problems")
async def all_problems() -> Response:
    """List every problem there is."""
    return _page("problems.html", kinds=list(problems.KINDS.values()), faults=problems.FAULTS)


@router.get("/problems/{code}")
async def one_problem(code: Annotated[str, InPath(max_length=100)]) -> Response:
    """Show one problem: what the ``type`` of an error leads to."""
    if code not in problems.KINDS:
        raise NotFound("There is no such problem. `/problems` lists all of them.")
    kind = problems.KINDS[code]
    return _page("problem.html", kind=kind, example=problems.document(kind, faults=_EXAMPLES.get(code, ())))


def _page(view: str, **told: Any) -> Response:
    return Response(_views.get_template(view).render(**told), headers=_PAGE_HEADERS, media_type="text/html")


def _told(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the view shows, in the order of the document."""
    reader = Reader(document)
    rooms = [{**tag, "operations": []} for tag in document["tags"]]
    by_name = {room["name"]: room for room in rooms}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_name[operation["tags"][-1]]["operations"].append(_operation(reader, path, method, operation))
    return {"api": document["info"], "rooms": rooms}


def _operation(reader: Reader, path: str, method: str, told: Mapping[str, Any]) -> dict[str, Any]:
    content = told.get("requestBody", {}).get("content", {})
    schema = next((one["schema"] for one in content.values()), None)
    answers = [_answer(reader, status, one) for status, one in told["responses"].items()]
    return {
        "id": told["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": told["summary"],
        "description": told.get("description", ""),
        "scopes": [scope for entry in told.get("security", ()) for scopes in entry.values() for scope in scopes],
        "parameters": [_parameter(reader, one) for one in told.get("parameters", ())],
        "media": list(content),
        "body": reader.fields(schema) if schema else [],
        "body_example": reader.example(schema) if schema else None,
        "answers": [one for one in answers if one["status"] < "400"],
        "problems": sorted((kind for one in answers for kind in one["kinds"]), key=lambda kind: kind.status),
    }


def _parameter(reader: Reader, told: Mapping[str, Any]) -> dict[str, Any]:
    row = reader.fields({"properties": {told["name"]: told["schema"]}})[0]
    told_about = {name: told[name] for name in ("required", "description") if name in told}
    return {**row, "place": told["in"], **told_about}


def _answer(reader: Reader, status: str, told: Mapping[str, Any]) -> dict[str, Any]:
    content = told.get("content", {})
    schema = content.get("application/json", {}).get("schema")
    codes = content.get(problems.MEDIA_TYPE, {}).get("examples", {})
    return {
        "status": status,
        "description": told["description"],
        "fields": reader.fields(schema) if schema else [],
        "example": reader.example(schema) if schema else None,
        "kinds": [problems.KINDS[code] for code in codes],
    }
