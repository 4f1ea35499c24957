"""A stand-in for Blob storage that is slow with some writes: those whose content begins with a space.

Runs as a process of its own: ``python -m benchmarks.slow_storage PORT``.
"""

import asyncio
import sys

from aiohttp import web

from local.free_ports import LOOPBACK

SLOW_MARK = b" "
QUICK_SECONDS = 0.005
SLOW_SECONDS = 1.2


async def write(request: web.Request) -> web.Response:
    """Put Blob, and forget what was put."""
    body = await request.read()
    await asyncio.sleep(SLOW_SECONDS if body.startswith(SLOW_MARK) else QUICK_SECONDS)
    headers = {"ETag": '"0x1"', "Last-Modified": "Mon, 02 Mar 2026 06:00:00 GMT", "x-ms-version": "2025-01-05"}
    return web.Response(status=201, headers=headers)


def main() -> None:
    """Serve until ended."""
    app = web.Application(client_max_size=16 << 20)
    app.router.add_route("*", "/{path:.*}", write)
    web.run_app(app, host=LOOPBACK, port=int(sys.argv[1]), print=None)


if __name__ == "__main__":
    main()
