"""Graph's status and error code -> one of our errors, in one table.

https://learn.microsoft.com/graph/errors. Decided by status and code, never by message, which Microsoft may change. No
message of ours repeats a response's.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from shared.core.errors import GraphConflict, GraphNotFound, GraphRefused, GraphUnavailable

# However long Graph asks to wait: the next run of the timer is a better place to wait in than this one.
MAX_RETRY_AFTER = timedelta(minutes=10)
DEFAULT_RETRY_AFTER = timedelta(seconds=30)

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_SENTENCES: Mapping[int, str] = {
    400: "Graph finds the request wrong",
    401: "Graph does not accept our token",
    402: "Graph asks for a licence or a payment",
    403: "Graph forbids it: a permission, a licence or a quota is missing",
    412: "Graph finds a precondition missing",
}
_RETRIED = frozenset({401, 408, 423, 429})


def fault(
    status: int, body: object, headers: Mapping[str, object], what: str, now: datetime
) -> GraphNotFound | GraphConflict | GraphRefused | GraphUnavailable:
    """The error for an answer that is no success. ``what`` says what was asked, with its id."""
    code = _code(body)
    told = f"{what}: {status} {code}".strip()
    if status in _RETRIED or status >= 500:
        return GraphUnavailable(f"{told}; it is tried again", retry_after(headers, now), throttled=status == 429)
    if status == 404:
        return GraphNotFound(told)
    if status == 409:
        return GraphConflict(told, existing_id=_existing_id(body))
    return GraphRefused(f"{told}: {_SENTENCES.get(status, 'Graph refuses it')}", code=code, status=status)


def retry_after(headers: Mapping[str, object], now: datetime) -> timedelta:
    """How long to wait: seconds or a date in ``Retry-After``, a default for anything else, never over ten minutes."""
    # In a batch the value may be a JSON number.
    text = next((str(value) for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    if re.fullmatch(r"\d+", text, re.ASCII):
        wait = MAX_RETRY_AFTER if len(text) > 6 else timedelta(seconds=int(text))
    else:
        try:
            date = parsedate_to_datetime(text)
            wait = (date if date.tzinfo else date.replace(tzinfo=UTC)) - now
        except (ValueError, TypeError, OverflowError):
            wait = DEFAULT_RETRY_AFTER
    return min(max(wait, timedelta(seconds=1)), MAX_RETRY_AFTER)


def pause(attempt: int, asked_for: timedelta, jitter: float) -> timedelta:
    """How long to wait after the attempt, 1 for the first: as Graph asked, or 1, 2, 4 … seconds times ``jitter``.

    https://learn.microsoft.com/graph/throttling#best-practices-to-handle-throttling. Jitter spreads those who were
    refused together.
    """
    return max(asked_for, timedelta(seconds=2 ** (attempt - 1)) * jitter)


def _error(body: object) -> Mapping[str, object]:
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def _code(body: object) -> str:
    code = _error(body).get("code")
    return code if isinstance(code, str) and re.fullmatch(r"[A-Za-z0-9._-]{1,64}", code) else ""


def _existing_id(body: object) -> str | None:
    # "Subscription Id <id> already exists for the requested combination": the one place where a message is read, and
    # only for an id, which is then looked up.
    message = _error(body).get("message")
    found = _GUID.search(message) if isinstance(message, str) else None
    return found[0].lower() if found else None
