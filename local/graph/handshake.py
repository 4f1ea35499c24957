"""The validation of a notification URL: Graph posts a token, the endpoint answers with it.

https://learn.microsoft.com/graph/change-notifications-delivery-webhooks#notificationurl-validation
"""

import random
import uuid
from urllib.parse import quote, quote_plus

import aiohttp
from yarl import URL

from local.graph.graph_errors import GraphError, bad_request
from local.graph.randomness import chance

TIMEOUT_SECONDS = 10.0
_CODE = "ValidationError"
_FAILED = "Subscription validation request failed. "
_LONGEST_ANSWER = 64 * 1024


def token() -> str:
    """Return a token as it was observed: with spaces and colons, so that a forgotten decoding shows."""
    return f"Validation: Testing client application reachability for subscription Request-Id: {uuid.uuid4()}"


def probe_url(url: str, text: str, rng: random.Random) -> URL:
    """Return `url` with the token behind its own query. A space is `+` or `%20`: both decode to the same."""
    escaped = quote_plus(text) if chance(rng, 0.5) else quote(text, safe="")
    joint = "&" if "?" in url else "?"
    return URL(f"{url}{joint}validationToken={escaped}", encoded=True)


async def probe(session: aiohttp.ClientSession, url: str, rng: random.Random, timeout_seconds: float) -> None:
    """Ask the endpoint to prove itself.

    Raises:
        GraphError: 400 with the observed texts: no answer in time, not 200, not text/plain, another body.
    """
    text = token()
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    try:
        async with session.post(
            probe_url(url, text, rng), data=b"", headers=headers, timeout=timeout, allow_redirects=False
        ) as response:
            body = await response.content.read(_LONGEST_ANSWER)
            _judge(response, body, text)
    except TimeoutError as error:
        raise _failure("The request timed out.") from error
    except (aiohttp.ClientError, ValueError) as error:
        raise _failure(f"The endpoint could not be reached: {type(error).__name__}.") from error


def _judge(response: aiohttp.ClientResponse, body: bytes, text: str) -> None:
    if response.status != 200:
        raise _failure("Notification endpoint must respond with 200 OK to validation request.")
    if response.content_type != "text/plain":
        raise _failure("Content-Type of the response must be text/plain.")
    if body != text.encode():
        raise _failure("Response must exactly match validationToken query parameter.")


def _failure(reason: str) -> GraphError:
    return bad_request(_FAILED + reason, _CODE)
