"""The route that providers call: hand the raw call on, answer fast and with nothing in it.

Verification and meaning are the adapter's and gateway.usecases.receipts'.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from channels.kit.contract import WebhookRequest
from gateway.http import bodies
from gateway.http.guards import Rt
from gateway.http.openapi import problems_of
from gateway.usecases import receipts

router = APIRouter(tags=["Webhooks"])

MAX_BYTES = 64_000
DEADLINE_S = 10.0  # providers wait 5 to 15 seconds; nobody honest needs longer for 64 kB

AccountName = Annotated[str, Path(max_length=100, description="The configured account.")]


@router.post(
    "/webhooks/{account}",
    status_code=204,
    summary="Take a provider's webhook",
    responses=problems_of("forged", "not_found", "body_too_large", "busy"),
)
async def take(request: Request, rt: Rt, account: AccountName) -> Response:
    """For providers only. The call must carry the provider's signature or secret; it may be repeated safely."""
    body = await bodies.read(request, MAX_BYTES, deadline_s=DEADLINE_S)
    await receipts.take_webhook(rt, account, _hook(request, rt, body))
    return Response(status_code=204)


def _hook(request: Request, rt: Rt, body: bytes) -> WebhookRequest:
    """Return the call as it came: signatures cover the exact address and the exact bytes."""
    path = request.scope.get("raw_path") or request.scope["path"].encode()
    query = request.scope["query_string"]
    target = path.decode("latin-1") + (f"?{query.decode('latin-1')}" if query else "")
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return WebhookRequest(
        method=request.method,
        url=rt.policy.public_url.rstrip("/") + target,
        headers=headers,
        body=body,
        received_at=rt.clock.now(),
    )
