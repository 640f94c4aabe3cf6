"""The two routes for whoever watches the process: is it alive, can it work."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from gateway.http import problems
from gateway.http.api import answers, results
from gateway.http.guards import Rt
from gateway.http.openapi import answered
from gateway.usecases import seeing

router = APIRouter(tags=["Health"])


@router.head("/livez", include_in_schema=False)
@router.get(
    "/livez",
    summary="Is the process alive?",
    responses=answered(200, answers.Alive, "It is.", "wedged"),
)
async def livez(rt: Rt) -> Response:
    """Answers while the event loop turns, and asks nobody else. Restart the process if it is silent or answers 503."""
    if seeing.alive(rt):
        return results.json({"ok": True})
    return problems.answer(problems.document(problems.KINDS["wedged"]))


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    summary="Can the process work?",
    responses=answered(200, answers.Ready, "It can.", "not_ready"),
)
async def readyz(rt: Rt) -> Response:
    """Asks the database, its schema and the queue, and tells the age of the oldest due delivery of each lane.

    Send no requests here while it answers 503.
    """
    found = await seeing.readiness(rt)
    if found["ok"]:
        return results.json(found)
    members = problems.document(
        problems.KINDS["not_ready"], checks=dict(found["checks"]), oldest_due_s=found["oldest_due_s"]
    )
    return problems.answer(members, {"Retry-After": "5"})
