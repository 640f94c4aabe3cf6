"""The metrics page for Prometheus, and the small program around it for processes that serve nothing else.

What the figures are is gateway.telemetry's and gateway.usecases.seeing's. Text format 0.0.4; made at most once in five
seconds, so that nobody can wear out the store by asking.
"""

from __future__ import annotations

import asyncio
import hmac
from ipaddress import ip_address
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from starlette.responses import Response

from gateway.domain.errors import Forbidden
from gateway.http import refusals
from gateway.http.api import health
from gateway.http.guards import Envelope, Rt
from gateway.usecases import seeing
from gateway.usecases.runtime import Runtime

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
KEPT_S = 5.0
_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


class Page:
    """The metrics page of one process, kept for a while; those who ask together share one reading."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._lock = asyncio.Lock()
        self._text = b""
        self._until = float("-inf")

    async def text(self) -> bytes:
        """Return the page, not older than ``KEPT_S``."""
        async with self._lock:
            now = self._rt.clock.monotonic()
            if now >= self._until:
                self._text = await seeing.metrics(self._rt)
                self._until = now + KEPT_S
            return self._text


async def scraper(request: Request, rt: Rt) -> None:
    """Let in who shows the token, or without a token set who asks from this machine. Raises Forbidden.

    A proxy on this machine asks from this machine too: what it hands on for others carries their address.
    """
    token = rt.policy.metrics_token
    if token:
        shown = request.headers.get("authorization", "").encode()
        if hmac.compare_digest(shown, f"Bearer {token}".encode()):
            return
        raise Forbidden("Send `Authorization: Bearer <GATEWAY_METRICS_TOKEN>`.", code="unauthenticated")
    if _is_from_here(request):
        return
    raise Forbidden(
        "Without GATEWAY_METRICS_TOKEN this page is for callers on the same machine only.", code="unauthenticated"
    )


def _is_from_here(request: Request) -> bool:
    host = request.client.host if request.client else ""
    try:
        return ip_address(host).is_loopback and not any(name in request.headers for name in _FORWARDED)
    except ValueError:
        return False


async def metrics(request: Request, _: Annotated[None, Depends(scraper)]) -> Response:
    """Return what this process counted and what the tables say; docs/operations.md explains every line."""
    page: Page = request.app.state.metrics
    return Response(await page.text(), media_type=MEDIA_TYPE)


def add(app: FastAPI, rt: Runtime) -> None:
    """Give ``app`` the page ``/metrics``."""
    app.state.metrics = Page(rt)
    app.add_api_route("/metrics", metrics, include_in_schema=False)


def create_watch(rt: Runtime) -> FastAPI:
    """Return the program for a worker's own port: /livez, /readyz and /metrics, and nothing else."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.rt = rt
    app.add_middleware(Envelope, rt=rt)
    refusals.install(app)
    app.include_router(health.router)
    add(app, rt)
    return app
