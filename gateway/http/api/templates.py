"""Routes under ``/v1/templates``: what can be said, and which variables it takes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Security
from starlette.responses import Response

from gateway.http.api import answers, fields, results
from gateway.http.guards import Rt, caller
from gateway.http.openapi import answered
from gateway.usecases import templates
from gateway.usecases.shapes import Caller

router = APIRouter(tags=["Templates"])

Reader = Annotated[Caller, Security(caller, scopes=["templates:read"])]


@router.get(
    "/v1/templates",
    summary="List templates",
    responses=answered(200, answers.Templates, "Every published template."),
)
async def published(rt: Rt, _who: Reader) -> Response:
    """See every template that can be posted now, with its confidentiality class, purpose, channels and languages."""
    return results.json({"templates": await templates.published(rt)})


@router.get(
    "/v1/templates/{key}",
    summary="Look up a template",
    responses=answered(200, answers.TemplateInFull, "The template.", "not_found"),
)
async def describe(rt: Rt, _who: Reader, key: Annotated[fields.TemplateKey, Path()]) -> Response:
    """See the published version with the JSON schema of its variables."""
    return results.json(await templates.describe(rt, key))
