"""The page and its status on a server of their own, with the headers that the app sends."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import azure.functions as func
from aiohttp import web

from shared.adapters import functions_http
from shared.adapters.dashboard import dashboard
from shared.core.errors import StorageUnavailable

KEY = "an-operators-key"


@dataclass
class Site:
    """What it answers can be changed while it runs. ``asked`` are the keys with which the status was asked for."""

    status: Mapping[str, object]
    unavailable: str | None = None
    answer: func.HttpResponse | None = None
    runbook: str = ""
    asked: list[str | None] = field(default_factory=list)
    url: str = ""
    _runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on a free port of loopback."""
        app = web.Application()
        app.router.add_get("/api/dashboard", self._page)
        app.router.add_get("/api/status", self._status)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Be gone: connections are refused from now on."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _page(self, _: web.Request) -> web.Response:
        return _sent(dashboard(self.runbook))

    async def _status(self, request: web.Request) -> web.Response:
        self.asked.append(request.headers.get("x-functions-key"))
        if self.asked[-1] != KEY:
            return web.Response(status=401)
        return _sent(self.answer or functions_http.status(self._report))

    def _report(self) -> Mapping[str, object]:
        if self.unavailable is not None:
            raise StorageUnavailable(self.unavailable)
        return self.status


@asynccontextmanager
async def serving(status: Mapping[str, object], *, runbook: str = "") -> AsyncIterator[Site]:
    """A site that answers with this status."""
    site = Site(status, runbook=runbook)
    await site.start()
    try:
        yield site
    finally:
        await site.stop()


def _sent(answer: func.HttpResponse) -> web.Response:
    headers = {**answer.headers, "Content-Type": f"{answer.mimetype}; charset={answer.charset}"}
    return web.Response(status=answer.status_code, headers=headers, body=answer.get_body())
