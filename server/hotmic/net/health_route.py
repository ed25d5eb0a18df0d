"""``/health``: for people, for supervisors and for load balancers."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from hotmic.net.health import Health
from hotmic.net.reply import require
from hotmic.net.security import Access


def add_health(app: FastAPI, health: Health, access: Access) -> None:
    """Add the routes to an application."""

    @app.get("/health", tags=["health"], summary="How the daemon is, in short", responses={503: NOT_SERVING})
    async def summary() -> JSONResponse:
        """200 while a model serves; else 503 and why. For people and for checks from outside."""
        return _verdict(health.summary())

    @app.get("/health/live", tags=["health"], summary="Whether the process answers")
    async def live() -> dict[str, str]:
        """200 as long as it answers at all: whatever else is wrong, a restart by the supervisor would not mend it."""
        return {"status": "ok"}

    @app.get("/health/ready", tags=["health"], summary="Whether to send new clients here", responses={503: NOT_SERVING})
    async def ready() -> JSONResponse:
        """200 while a model serves; 503 while the first one is loaded, none serves, or the daemon stops."""
        return _verdict(health.readiness())

    @app.get("/ws/status", tags=["health"], summary="Open connections by dialect")
    async def sockets() -> dict[str, Any]:
        """How many connections there are; the RNN-T server's clients ask for it."""
        return health.sockets()

    @app.get("/health/extended", tags=["health"], summary="All there is", responses={503: NOT_SERVING})
    async def extended(request: Request) -> JSONResponse:
        """Processes, memory, restarts and why, open files, disks, clients. Needs the scope `control`."""
        require(request, access, "control")
        return _verdict(await health.extended())


NOT_SERVING = {"description": "No model serves; `reason` says why"}


def _verdict(report: dict[str, Any]) -> JSONResponse:
    return JSONResponse(report, status_code=200 if report["status"] == "ok" else 503)
