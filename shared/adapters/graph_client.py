"""Microsoft Graph's subscriptions and users, called as the app itself.

https://learn.microsoft.com/graph/api/resources/subscription,
https://learn.microsoft.com/graph/best-practices-concept for the headers. Nothing is retried here: the caller knows
whether doing it twice is right, and the platform brings it back.
"""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from urllib.parse import urlsplit

import jwt
import requests
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError

from shared.core.errors import CaptureError, GraphNotFound, GraphUnavailable
from shared.core.graph_fault import fault
from shared.core.graph_subscription import parse_subscription
from shared.core.subscription import ActualSubscription
from shared.ports import Clock, GraphCall

# A creation waits for two handshakes of up to ten seconds each.
TIMEOUT_SECONDS = (5, 40)
# https://learn.microsoft.com/graph/json-batching#batch-size-limitations
MAX_BATCH = 20
MAX_PAGES = 1_000
# Any plan with Microsoft 365 Copilot Chat: https://learn.microsoft.com/graph/aad-advanced-queries for the query.
_LICENSED = (
    "users?$filter=assignedPlans/any(a:a/servicePlanId eq 3f30311c-6b1e-48a4-ab79-725b469da960"
    " and a/capabilityStatus eq 'Enabled')&$count=true&$select=id&$top=999"
)


class GraphClient:
    """The Graph port on one requests session. ``endpoint`` is the cloud's origin, ``version`` is v1.0 or beta."""

    def __init__(self, endpoint: str, version: str, credential: TokenCredential, clock: Clock) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._version = version
        self._credential = credential
        self._clock = clock
        self._session = requests.Session()

    def subscriptions(self) -> list[ActualSubscription]:
        """See the port. https://learn.microsoft.com/graph/api/subscription-list"""
        return [parse_subscription(each) for each in self._pages("subscriptions", "list the subscriptions", {})]

    def subscription(self, subscription_id: str) -> ActualSubscription | None:
        """See the port."""
        try:
            return parse_subscription(self._call("GET", f"subscriptions/{subscription_id}", "look at a subscription"))
        except GraphNotFound:
            return None

    def send(self, calls: Sequence[GraphCall]) -> list[ActualSubscription | CaptureError | None]:
        """See the port. One call goes by itself, more go by twenties: https://learn.microsoft.com/graph/json-batching"""
        if len(calls) == 1:
            return [self._one(calls[0])]
        answers: list[ActualSubscription | CaptureError | None] = []
        for start in range(0, len(calls), MAX_BATCH):
            answers += self._batch(calls[start : start + MAX_BATCH])
        return answers

    def roles(self) -> frozenset[str] | None:
        """See the port. https://learn.microsoft.com/entra/identity-platform/access-tokens#validate-tokens"""
        try:
            claims = jwt.decode(self._token(), options={"verify_signature": False})
        except jwt.InvalidTokenError:
            return None
        roles = claims.get("roles")
        return frozenset(roles) if isinstance(roles, list) else frozenset()

    def licensed_users(self) -> Iterator[str]:
        """See the port."""
        for user in self._pages(_LICENSED, "list the licensed users", {"ConsistencyLevel": "eventual"}):
            identifier = user.get("id") if isinstance(user, dict) else None
            if isinstance(identifier, str):
                yield identifier

    def _one(self, call: GraphCall) -> ActualSubscription | CaptureError | None:
        try:
            return _subscription(self._call(call.method, call.path, call.what, call.body))
        except CaptureError as error:
            return error

    def _batch(self, calls: Sequence[GraphCall]) -> list[ActualSubscription | CaptureError | None]:
        body = {"requests": [_inner(number, call) for number, call in enumerate(calls)]}
        try:
            document = self._call("POST", "$batch", f"a batch of {len(calls)}", body)
        except CaptureError as error:
            return [error] * len(calls)
        listed = document.get("responses") if isinstance(document, dict) else None
        answers = {str(each.get("id")): each for each in listed or [] if isinstance(each, dict)}
        return [self._inner_answer(call, answers.get(str(number))) for number, call in enumerate(calls)]

    def _inner_answer(
        self, call: GraphCall, answer: Mapping[str, object] | None
    ) -> ActualSubscription | CaptureError | None:
        status = answer.get("status") if answer else None
        if answer is None or not isinstance(status, int):
            return GraphUnavailable(f"{call.what}: the batch brought no answer; it is tried again")
        body, headers = answer.get("body"), answer.get("headers")
        if status < 300:
            try:
                return _subscription(body)
            except GraphUnavailable as error:
                return error
        return fault(status, body, headers if isinstance(headers, dict) else {}, call.what, self._clock())

    def _pages(self, path: str, what: str, headers: Mapping[str, str]) -> Iterator[object]:
        url: str | None = self._url(path)
        seen: set[str] = set()
        while url is not None:
            if url in seen or len(seen) >= MAX_PAGES:
                raise GraphUnavailable(f"{what}: the pages go in circles; it is looked at again")
            seen.add(url)
            document = self._request("GET", url, what, None, headers)
            values = document.get("value") if isinstance(document, dict) else None
            if not isinstance(document, dict) or not isinstance(values, list):
                # A page of a proxy in between, say. Read as "none", it would have everything made or deleted anew.
                raise GraphUnavailable(f"{what}: the answer is no list; it is looked at again")
            yield from values
            following = document.get("@odata.nextLink")
            url = None if following is None else self._checked(following, what)

    def _checked(self, link: object, what: str) -> str:
        """A nextLink, which gets our token: only to the host that we asked, over https, below the API version."""
        if not isinstance(link, str) or not _is_below(link, self._url("")):
            raise GraphUnavailable(f"{what}: the next page is elsewhere; it is not followed")
        return link

    def _call(self, method: str, path: str, what: str, body: Mapping[str, object] | None = None) -> object:
        return self._request(method, self._url(path), what, body, {})

    def _request(
        self, method: str, url: str, what: str, body: Mapping[str, object] | None, headers: Mapping[str, str]
    ) -> object:
        sent = {"Authorization": f"Bearer {self._token()}", "client-request-id": str(uuid.uuid4()), **headers}
        try:
            answer = self._session.request(
                method, url, json=body, headers=sent, timeout=TIMEOUT_SECONDS, allow_redirects=False
            )
        except requests.RequestException as error:
            # It may have been done all the same: whoever asked for a change looks before asking again.
            raise GraphUnavailable(f"{what}: no answer ({type(error).__name__}); it is looked at again") from error
        document = _json(answer.content)
        if not 200 <= answer.status_code < 300:
            raise fault(answer.status_code, document, answer.headers, what, self._clock())
        return document

    def _token(self) -> str:
        try:
            return self._credential.get_token(f"{self._endpoint}/.default").token
        except AzureError as error:
            raise GraphUnavailable(
                f"Entra ID gives no token for Graph ({type(error).__name__}); check the app registration's credential",
                timedelta(minutes=1),
            ) from error

    def _url(self, path: str) -> str:
        return f"{self._endpoint}/{self._version}/{path}"


def _is_below(link: str, base: str) -> bool:
    try:
        ours, theirs = urlsplit(base), urlsplit(link)
    except ValueError:
        return False
    same_origin = (theirs.scheme, theirs.netloc.lower()) == (ours.scheme, ours.netloc.lower())
    return same_origin and theirs.path.startswith(ours.path)


def _inner(number: int, call: GraphCall) -> Mapping[str, object]:
    inner: dict[str, object] = {"id": str(number), "method": call.method, "url": f"/{call.path}"}
    if call.body is not None:
        inner |= {"body": call.body, "headers": {"Content-Type": "application/json"}}
    return inner


def _subscription(document: object) -> ActualSubscription | None:
    return None if not document else parse_subscription(document)


def _json(content: bytes) -> object:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return None  # an answer of a proxy in between; its status tells enough
