"""An endpoint for the simulator to post to, and a decryption that shares no code with it."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from local.graph import Timing

FAST = Timing(time_scale=3600, first_answer=1.0, retry_answer=5.0, handshake_answer=2.0)
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def accept(_: web.Request) -> web.StreamResponse:
    return web.Response(status=202)


async def echo(request: web.Request) -> web.StreamResponse:
    return web.Response(text=request.query["validationToken"])


@dataclass
class Receiver:
    """Keeps what it is sent; `answer` and `handshake` say what it answers."""

    url: str = ""
    lifecycle_url: str = ""
    answer: Answer = accept
    handshake: Answer = echo
    bodies: list[bytes] = field(default_factory=list)
    probes: list[web.Request] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.StreamResponse:
        if "validationToken" in request.query:
            self.probes.append(request)
            return await self.handshake(request)
        # Read as it is: aiohttp's own reading would undo a Content-Encoding.
        request["body"] = await request.content.read()
        self.bodies.append(request["body"])
        return await self.answer(request)

    def items(self) -> list[dict[str, Any]]:
        return [item for body in self.bodies for item in json.loads(body)["value"]]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver that listens on loopback for as long as the context lasts."""
    made = Receiver()
    application = web.Application()
    application.router.add_post("/api/{name}", made.take)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}/api"
    made.url, made.lifecycle_url = f"{base}/notifications?code=a%20b", f"{base}/lifecycle"
    try:
        yield made
    finally:
        await runner.cleanup()


def decrypted(content: dict[str, str], key: rsa.RSAPrivateKey) -> bytes:
    """Open encryptedContent as Microsoft's page describes it.

    Raises:
        ValueError: the signature or the key is wrong.
    """
    sha1 = hashes.SHA1()  # noqa: S303 - prescribed
    symmetric = key.decrypt(base64.b64decode(content["dataKey"]), padding.OAEP(padding.MGF1(sha1), sha1, None))
    data = base64.b64decode(content["data"])
    expected = hmac.new(symmetric, data, hashlib.sha256).digest()
    if not hmac.compare_digest(expected, base64.b64decode(content["dataSignature"])):
        raise ValueError("wrong signature")
    decryptor = Cipher(algorithms.AES256(symmetric), modes.CBC(symmetric[:16])).decryptor()
    padded = decryptor.update(data) + decryptor.finalize()
    return padded[: -padded[-1]]


def member(item: dict[str, Any], name: str) -> Any:  # noqa: ANN401 - JSON
    """Return a property without regard to case."""
    return next((value for key, value in item.items() if key.lower() == name.lower()), None)
