"""Routes under ``/v1/notifications``: accept one or many, preview, look up, search, cancel."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Security
from starlette.responses import Response

from gateway.domain.errors import CallerError
from gateway.domain.states import Outcome
from gateway.http import bodies
from gateway.http.api import answers, results
from gateway.http.api.fields import Line, TemplateKey
from gateway.http.api.schemas import NotificationBody, NotificationItem, idempotency_key
from gateway.http.guards import Rt, caller
from gateway.http.openapi import BODY, answered, batch_of, body_of
from gateway.usecases import accept, previews, reports
from gateway.usecases.shapes import Accepted, Caller, Search

router = APIRouter(tags=["Notifications"])

Writer = Annotated[Caller, Security(caller, scopes=["notifications:write"])]
Reader = Annotated[Caller, Security(caller, scopes=["notifications:read"])]
NotificationId = Annotated[str, Path(max_length=36, pattern=r"^[0-9a-zA-Z-]+$", description="The notification's id.")]
MAX_PAGE = 200
IDEMPOTENCY_KEY: dict[str, Any] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": True,
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
            "description": "Yours, for example a new UUID; kept for 7 days. The same key with the same body gets the "
            "first answer again; with another body it is refused.",
            "example": "2f1c7a52-7e0f-4b43-9d1f-0a6f5a2b7c11",
        }
    ]
}
PLACE: dict[str, Any] = {
    "Location": {"description": "Where to look it up.", "schema": {"type": "string"}},
    "Idempotent-Replayed": {"description": "`true` if the key was seen before.", "schema": {"type": "string"}},
}


@router.post(
    "/v1/notifications",
    status_code=202,
    summary="Post a notification",
    responses=answered(
        202,
        answers.Accepted,
        "Stored; workers take it from here.",
        *BODY,
        "idempotency_key_missing",
        "idempotency_key_reused",
        headers=PLACE,
    ),
    openapi_extra=body_of(NotificationBody) | IDEMPOTENCY_KEY,
)
async def post(
    request: Request,
    rt: Rt,
    who: Writer,
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            include_in_schema=False,  # its absence has a problem of its own
        ),
    ] = None,
) -> Response:
    """Tell one recipient one thing.

    The gateway plans which channels may carry it, in the order that the person prefers, and says why it leaves the
    others out. The answer comes when everything is stored durably, before anything is sent. A repeated request
    gets the first answer again, with the header `Idempotent-Replayed: true`.
    """
    shown = idempotency_key(key)
    body = await bodies.read_json(request, NotificationBody, rt.policy.max_body_bytes)
    accepted = await accept.accept(rt, who, body.posted(shown))
    headers = {"Location": f"/v1/notifications/{accepted.id}"}
    if accepted.repeated:
        headers["Idempotent-Replayed"] = "true"
    return results.json(accepted.answer, 202, headers)


@router.post(
    "/v1/notifications:batch",
    status_code=202,
    summary="Post up to 10,000 notifications",
    responses=answered(
        202, answers.BatchOfNotifications, "One result per item, in the same order.", *BODY, "batch_size"
    ),
    openapi_extra=batch_of(NotificationItem),
)
async def post_batch(request: Request, rt: Rt, who: Writer) -> Response:
    """Post many at once, as a JSON array or as NDJSON.

    Every item carries its own `idempotency_key`, so that a repeated batch is harmless. A bad item has a problem for a
    result and never spoils the others.
    """
    media = bodies.media_type(request, (bodies.JSON, bodies.NDJSON))
    raw = bodies.split(await bodies.read(request, rt.policy.max_batch_bytes), media)
    parsed = await bodies.parse_each(NotificationItem, raw)
    items = [one if isinstance(one, CallerError) else one.posted(one.idempotency_key) for one in parsed]
    taken = await accept.accept_batch(rt, who, items)
    return results.json({"results": [_result(index, one) for index, one in enumerate(taken)]}, 202)


def _result(index: int, taken: Accepted | CallerError) -> dict[str, Any]:
    if isinstance(taken, CallerError):
        return results.item(index, taken, 202)
    facts = {"id": taken.id, "state": taken.answer["state"], "repeated": taken.repeated}
    return results.item(index, facts, 202)


@router.post(
    "/v1/notifications:preview",
    summary="Preview a notification",
    responses=answered(200, answers.Preview, "The plan and the messages.", *BODY),
    openapi_extra=body_of(NotificationBody),
)
async def preview(request: Request, rt: Rt, who: Writer) -> Response:
    """See the plan with its reasons, and each channel's rendered message. Nothing is stored and nothing is sent."""
    body = await bodies.read_json(request, NotificationBody, rt.policy.max_body_bytes)
    seen = await previews.preview(rt, who, body.posted())
    return results.json({"deliveries": seen.deliveries, "skipped": seen.skipped})


@router.get(
    "/v1/notifications",
    summary="Search notifications",
    responses=answered(200, answers.Page, "The newest first.", "invalid"),
)
async def search(
    rt: Rt,
    who: Reader,
    *,
    reference: Annotated[Line | None, Query(description="The reference given with it.")] = None,
    state: Annotated[Outcome | None, Query(description="The notification's present state.")] = None,
    template: Annotated[TemplateKey | None, Query(description="The template's key.")] = None,
    after: Annotated[
        str | None, Query(max_length=100, pattern=r"^[!-~]+$", description="`next` of the page before this one.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Items on a page.")] = 50,
) -> Response:
    """List what this client has posted. Follow `next` until it is null; new notifications never shift a page."""
    asked = Search(reference=reference, state=state and state.value, template=template, after=after, limit=limit)
    found, following = await reports.listing(rt, who, asked)
    return results.json({"notifications": found, "next": following})


@router.get(
    "/v1/notifications/{id}",
    summary="Look up a notification",
    responses=answered(200, answers.Notification, "The notification.", "not_found"),
)
async def look_up(rt: Rt, who: Reader, id_: Annotated[NotificationId, Path(alias="id")]) -> Response:
    """See its state, its deliveries with every attempt, and the timeline of what happened."""
    return results.json(await reports.notification(rt, who, id_))


@router.post(
    "/v1/notifications/{id}:cancel",
    summary="Cancel a notification",
    responses=answered(200, answers.Notification, "As it is now.", "not_found", "conflict"),
)
async def cancel(rt: Rt, who: Writer, id_: Annotated[NotificationId, Path(alias="id")]) -> Response:
    """Stop every delivery that has not been handed to a provider yet. What is under way cannot be called back."""
    return results.json(await previews.cancel(rt, who, id_))
