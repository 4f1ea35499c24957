"""What the directory's operations have in common: permissions, `$select`, `$top` and pages.

https://learn.microsoft.com/graph/query-parameters
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

from local.graph.graph_errors import GraphError, bad_request
from local.graph.graph_request import GraphAnswer, GraphRequest
from local.graph.subscription_rules import Caller

DEFAULT_PAGE, LARGEST_PAGE = 100, 999
T = TypeVar("T")
Show = Callable[[T, GraphRequest], dict[str, Any]]


def check_role(caller: Caller, roles: Iterable[str]) -> None:
    """Check that the caller holds one of the roles.

    Raises:
        GraphError: 403.
    """
    if caller.roles.isdisjoint(roles):
        raise GraphError(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


def check_options(query: Mapping[str, str], known: Iterable[str]) -> None:
    """Check that there are only options that the operation knows.

    Raises:
        GraphError: 400.
    """
    if unknown := set(query) - set(known):
        raise bad_request(f"Unrecognized query options: {', '.join(sorted(unknown))}.", "Request_BadRequest")


def unsupported(message: str = "Unsupported or invalid query filter clause.") -> GraphError:
    """400, for a query that is understood and not answered."""
    return bad_request(message, "Request_UnsupportedQuery")


def is_advanced(request: GraphRequest) -> bool:
    """Say whether a request has what advanced queries need: `ConsistencyLevel: eventual` and `$count=true`."""
    return _is_eventual(request) and request.query.get("$count", "").lower() == "true"


def check_count(request: GraphRequest) -> bool:
    """Say whether the count is asked for.

    Raises:
        GraphError: 400, it is asked for without `ConsistencyLevel: eventual`, or with something else than yes or no.
    """
    wanted = request.query.get("$count", "false").lower()
    if wanted not in {"true", "false"}:
        raise bad_request("Invalid value for $count query option found. It must be 'true' or 'false'.")
    if wanted == "false":
        return False
    if not _is_eventual(request):
        raise unsupported("Request with $count query parameter needs the header ConsistencyLevel: eventual.")
    return True


def missing(identifier: str) -> GraphError:
    """404 of the directory."""
    message = (
        f"Resource '{identifier}' does not exist or one of its queried reference-property objects are not present."
    )
    return GraphError(404, "Request_ResourceNotFound", message)


def selected(document: Mapping[str, Any], query: Mapping[str, str], default: str, kind: str) -> dict[str, Any]:
    """Return the properties that are asked for.

    Raises:
        GraphError: 400, there is no such property.
    """
    names = [name.strip() for name in query.get("$select", default).split(",")]
    for name in names:
        if name not in document:
            raise bad_request(f"Could not find a property named '{name}' on type '{kind}'.", "BadRequest")
    return {name: document[name] for name in names}


@dataclass(frozen=True)
class Pages:
    """A list in pages, under `path` and described by `context`."""

    endpoint: str
    path: str
    context: str

    def answer(self, request: GraphRequest, items: Sequence[T], show: Show[T], *, counted: bool) -> GraphAnswer:
        """Return the page of a request; `show` makes JSON of what is on it.

        Raises:
            GraphError: 400, for a size or a token that is none.
        """
        size, start = page_size(request.query.get("$top", str(DEFAULT_PAGE)), LARGEST_PAGE), _start(request.query)
        root = f"{self.endpoint}/{request.version}"
        body: dict[str, Any] = {"@odata.context": f"{root}/$metadata#{self.context}"}
        if counted:
            body["@odata.count"] = len(items)
        if start + size < len(items):
            body["@odata.nextLink"] = f"{root}/{self.path}?{_following(request.query, start + size)}"
        return GraphAnswer(200, {**body, "value": [show(each, request) for each in items[start : start + size]]})


def _is_eventual(request: GraphRequest) -> bool:
    return request.headers.get("ConsistencyLevel", "").lower() == "eventual"


def _following(query: Mapping[str, str], start: int) -> str:
    token = base64.urlsafe_b64encode(str(start).encode()).decode()
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in {**query, "$skiptoken": token}.items())


def page_size(text: str, largest: int) -> int:
    """Return the value of `$top`.

    Raises:
        GraphError: 400.
    """
    digits = text.lstrip("0")
    # Python reads no number of more than some thousand digits.
    if not re.fullmatch("[1-9][0-9]{0,8}", digits) or int(digits) > largest:
        raise bad_request(f"Invalid page size specified: '{text}'. Must be between 1 and {largest} inclusive.")
    return int(digits)


def _start(query: Mapping[str, str]) -> int:
    if "$skiptoken" not in query:
        return 0
    try:
        start = int(base64.urlsafe_b64decode(query["$skiptoken"]))
    except (binascii.Error, ValueError) as error:
        raise _expired() from error
    if start < 0:
        raise _expired()
    return start


def _expired() -> GraphError:
    return bad_request("The $skiptoken is not valid.", "Directory_ExpiredPageToken")
