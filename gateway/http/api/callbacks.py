"""Routes under ``/v1/callbacks``: where a client wants to be told what happens, and with which secret it is signed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Security
from starlette.responses import Response

from gateway.http import bodies
from gateway.http.api import callback_answers as answers
from gateway.http.api import results
from gateway.http.api.schemas import CallbackBody, ReplayBody
from gateway.http.guards import Rt, caller
from gateway.http.openapi import BODY, answered, body_of, problems_of
from gateway.usecases import callbacks
from gateway.usecases.shapes import Caller

router = APIRouter(tags=["Callbacks"])

Owner = Annotated[Caller, Security(caller, scopes=["callbacks:write"])]
EndpointId = Annotated[str, Path(max_length=36, pattern=r"^[0-9a-zA-Z-]+$", description="The endpoint's id.")]


@router.post(
    "/v1/callbacks",
    status_code=201,
    summary="Register an endpoint",
    responses=answered(201, answers.NewEndpoint, "The endpoint with its secret.", *BODY, "conflict"),
    openapi_extra=body_of(CallbackBody),
)
async def register(request: Request, rt: Rt, who: Owner) -> Response:
    """Have events posted to a URL, signed after Standard Webhooks. The secret is shown this once.

    The endpoint must be reachable over https on the public internet, unless the operator allows others. It gets what
    happens from now on; `:replay` brings what was before.
    """
    body = await bodies.read_json(request, CallbackBody, rt.policy.max_body_bytes)
    made = await callbacks.register(rt, who, body.url, body.types)
    return results.json(made, 201, {"Location": f"/v1/callbacks/{made['id']}"})


@router.get(
    "/v1/callbacks",
    summary="List endpoints",
    responses=answered(200, answers.Endpoints, "Every endpoint of this client, oldest first."),
)
async def listing(rt: Rt, who: Owner) -> Response:
    """See each endpoint with how many posts wait for it and how many were given up after three days."""
    return results.json({"callbacks": await callbacks.listing(rt, who)})


@router.get(
    "/v1/callbacks/{id}",
    summary="Look up an endpoint",
    responses=answered(200, answers.Endpoint, "The endpoint.", "not_found"),
)
async def look_up(rt: Rt, who: Owner, id_: Annotated[EndpointId, Path(alias="id")]) -> Response:
    """See one endpoint; never its secret."""
    return results.json(await callbacks.one(rt, who, id_))


@router.delete("/v1/callbacks/{id}", status_code=204, summary="Delete an endpoint", responses=problems_of("not_found"))
async def delete(rt: Rt, who: Owner, id_: Annotated[EndpointId, Path(alias="id")]) -> Response:
    """Stop telling it anything. What waits for it is forgotten; the feed keeps every event."""
    await callbacks.delete(rt, who, id_)
    return Response(status_code=204)


@router.post(
    "/v1/callbacks/{id}:test",
    summary="Test an endpoint",
    responses=answered(200, answers.Pinged, "What came of it.", "not_found"),
)
async def test(rt: Rt, who: Owner, id_: Annotated[EndpointId, Path(alias="id")]) -> Response:
    """Post a signed event of the type `ping` now. An endpoint that was disabled and answers 2xx is enabled again."""
    return results.json(await callbacks.ping(rt, who, id_))


@router.post(
    "/v1/callbacks/{id}:rotate",
    summary="Rotate an endpoint's secret",
    responses=answered(200, answers.NewEndpoint, "The endpoint with its new secret.", "not_found"),
)
async def rotate(rt: Rt, who: Owner, id_: Annotated[EndpointId, Path(alias="id")]) -> Response:
    """Get a new secret, shown this once. For 24 hours every post carries the signatures of both."""
    return results.json(await callbacks.rotate(rt, who, id_))


@router.post(
    "/v1/callbacks/{id}:replay",
    status_code=202,
    summary="Replay events to an endpoint",
    responses=answered(202, answers.Replayed, "How many events are posted again.", *BODY, "not_found", "conflict"),
    openapi_extra=body_of(ReplayBody),
)
async def replay(request: Request, rt: Rt, who: Owner, id_: Annotated[EndpointId, Path(alias="id")]) -> Response:
    """Post events of the last 30 days again, from a number or a time on. They keep their `webhook-id`."""
    body = await bodies.read_json(request, ReplayBody, rt.policy.max_body_bytes)
    return results.json({"queued": await callbacks.replay(rt, who, id_, after=body.after, since=body.since)}, 202)
