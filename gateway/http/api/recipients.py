"""Routes under ``/v1/recipients``: people as clients state them. The ledger of their consents is consents.py."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Security
from starlette.responses import Response

from gateway.domain.errors import CallerError
from gateway.http import bodies
from gateway.http.api import answers, fields, results
from gateway.http.api.schemas import RecipientBody, RecipientItem
from gateway.http.guards import Rt, caller
from gateway.http.openapi import BODY, answered, batch_of, body_of
from gateway.usecases import access, recipients
from gateway.usecases.shapes import Caller, PostedRecipient

router = APIRouter(tags=["Recipients"])

Writer = Annotated[Caller, Security(caller, scopes=["recipients:write"])]
Reader = Annotated[Caller, Security(caller, scopes=["recipients:read"])]
CONSENTS_WRITE = "consents:write"


@router.put(
    "/v1/recipients/{id}",
    summary="State a recipient",
    responses=answered(200, answers.Recipient, "The recipient as known now.", *BODY),
    openapi_extra=body_of(RecipientBody),
)
async def put(request: Request, rt: Rt, who: Writer, id_: Annotated[fields.RecipientId, Path(alias="id")]) -> Response:
    """Add a person or change what is known about them; a field left out stays as it is.

    Recipients belong to the authority: the same id from two clients is the same person. A contact point is unverified,
    and gets nothing but its verification, unless `verified_at` and `verified_how` are given. Consents are appended to
    the ledger; they need the scope `consents:write` as well.
    """
    body = await bodies.read_json(request, RecipientBody, rt.policy.max_body_bytes)
    posted = body.posted(id_)
    if posted.consents:
        access.require(who, CONSENTS_WRITE)
    return results.json(await recipients.put(rt, who, posted))


@router.post(
    "/v1/recipients:batch",
    summary="State up to 10,000 recipients",
    responses=answered(200, answers.BatchOfRecipients, "One result per item, in the same order.", *BODY, "batch_size"),
    openapi_extra=batch_of(RecipientItem),
)
async def put_batch(request: Request, rt: Rt, who: Writer) -> Response:
    """State many at once, with contact points, preferences and consents, as a JSON array or as NDJSON."""
    media = bodies.media_type(request, (bodies.JSON, bodies.NDJSON))
    raw = bodies.split(await bodies.read(request, rt.policy.max_batch_bytes), media)
    parsed = await bodies.parse_each(RecipientItem, raw)
    items = [one if isinstance(one, CallerError) else _admitted(who, one.posted(one.id)) for one in parsed]
    stated = await recipients.put_batch(rt, who, items)
    return results.json({"results": [results.item(index, one, 200) for index, one in enumerate(stated)]})


def _admitted(who: Caller, posted: PostedRecipient) -> PostedRecipient | CallerError:
    """Return the item, or why this key may not post it."""
    try:
        if posted.consents:
            access.require(who, CONSENTS_WRITE)
    except CallerError as error:
        return error
    return posted


@router.get(
    "/v1/recipients/{id}",
    summary="Look up a recipient",
    responses=answered(200, answers.Recipient, "The recipient.", "not_found"),
)
async def get(rt: Rt, who: Reader, id_: Annotated[fields.RecipientId, Path(alias="id")]) -> Response:
    """See language, preferences, contact points (addresses only hinted at) and the standing consents."""
    return results.json(await recipients.get(rt, who, id_))
