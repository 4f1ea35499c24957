"""Azure Functions' HTTP requests and answers <-> what the flows take and give.

Every answer is an HttpResponse: of a bare string that looks like JSON the host would make an answer of its own.
https://learn.microsoft.com/python/api/azure-functions/azure.functions.httpresponse
"""

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qsl, urlsplit

import azure.functions as func

from shared.core.dead_letter import ReplayReport
from shared.core.errors import RequestRefused, SettingsError, Unavailable
from shared.core.webhook import Handshake, Kept, WebhookRequest

logger = logging.getLogger(__name__)

_RETRY_AFTER = {"Retry-After": "10"}
_NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}
_REASON = re.compile(r"[a-z-]{1,64}", re.ASCII)


async def receive(
    request: func.HttpRequest, doorbell: func.Out[str], take: Callable[[WebhookRequest], Awaitable[Handshake | Kept]]
) -> func.HttpResponse:
    """Answer a webhook's request; a post that is durable has its name put on the doorbell's queue by the host."""
    try:
        taken = await take(
            WebhookRequest(
                validation_token=request.params.get("validationToken"),
                content_encoding=request.headers.get("content-encoding"),
                body=request.get_body(),
            )
        )
    except RequestRefused as error:
        # The log tells why, the answer does not.
        logger.warning("refused a post with %d: %s", error.status, error)
        return func.HttpResponse(status_code=error.status)
    except Unavailable as error:
        logger.error("answered 503 to a post: %s", error)  # noqa: TRY400 - the cause's traceback tells nothing more
        return func.HttpResponse(status_code=error.status, headers=_RETRY_AFTER)
    if isinstance(taken, Handshake):
        return func.HttpResponse(taken.token, headers=_NO_SNIFFING, mimetype="text/plain", charset="utf-8")
    doorbell.set(taken.name)
    return func.HttpResponse(status_code=202)


async def health(check: Callable[[], Awaitable[None]]) -> func.HttpResponse:
    """200 where posts can be kept now, else 503, and nothing else."""
    try:
        await check()
    except (SettingsError, Unavailable) as error:
        logger.error("not healthy: %s", error)  # noqa: TRY400 - as above
        return func.HttpResponse(status_code=503)
    return func.HttpResponse(status_code=200)


def status(report: Callable[[], Mapping[str, object]]) -> func.HttpResponse:
    """The status as JSON, 503 with a sentence where storage does not answer or a setting is bad."""
    try:
        return _json(200, report())
    except (SettingsError, Unavailable) as error:
        return _json(503, {"error": str(error)})


def replay(request: func.HttpRequest, again: Callable[[str | None], ReplayReport]) -> func.HttpResponse:
    """What a replay did, in counts. ``?reason=`` or ``{"reason": "…"}`` restricts it to one reason."""
    try:
        reason = _reason(request)
    except ValueError:
        return _json(400, {"error": 'reason must be a reason as in status, given as ?reason= or {"reason": "..."}'})
    report = again(reason)
    counts = {
        "archived": report.outcomes["archived"],
        "duplicates": report.outcomes["duplicate"],
        "conflicts": report.outcomes["conflict"],
        "stillDead": dict(report.still_dead),
        "unreadable": report.unreadable,
        "postponed": report.postponed,
        "complete": report.complete,
    }
    return _json(200 if report.postponed is None else 503, counts)


def _reason(request: func.HttpRequest) -> str | None:
    """The reason asked for, None for all. Raises ValueError for what is none."""
    # The host leaves parameters without a value out, and "of no reason" is not "of all".
    given = dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True)).get("reason")
    body = request.get_body()
    if given is None and body.strip():
        document = json.loads(body)
        if not isinstance(document, dict):
            raise ValueError
        given = document.get("reason")
    if given is None:
        return None
    if not isinstance(given, str) or not _REASON.fullmatch(given):
        raise ValueError
    return given


def _json(status_code: int, document: Mapping[str, object]) -> func.HttpResponse:
    headers = {**_NO_SNIFFING, "Cache-Control": "no-store", **(_RETRY_AFTER if status_code == 503 else {})}
    return func.HttpResponse(
        json.dumps(document), status_code=status_code, headers=headers, mimetype="application/json", charset="utf-8"
    )
