"""Microsoft Graph's subscriptions and users, called as the app itself.

https://learn.microsoft.com/graph/api/resources/subscription
"""

import logging
from collections.abc import Iterator, Mapping, Sequence

import jwt
from azure.core.credentials import TokenCredential

from shared.adapters.graph_http import GraphHttp
from shared.adapters.graph_users import licensed_users, members
from shared.core.errors import CaptureError, GraphNotFound, GraphUnavailable
from shared.core.graph_fault import fault
from shared.core.graph_subscription import parse_subscription
from shared.core.subscription import ActualSubscription
from shared.ports import SILENCE, Clock, GraphCall, Telemetry

logger = logging.getLogger(__name__)

# https://learn.microsoft.com/graph/json-batching#batch-size-limitations
MAX_BATCH = 20


class GraphClient:
    """The Graph port. ``endpoint`` is the cloud's origin, ``version`` v1.0 or beta; ``http`` is there to be shared."""

    def __init__(
        self, endpoint: str, version: str, credential: TokenCredential, clock: Clock, telemetry: Telemetry = SILENCE
    ) -> None:
        self.http = GraphHttp(endpoint, version, credential, clock, telemetry)

    def subscriptions(self) -> list[ActualSubscription]:
        """See the port. https://learn.microsoft.com/graph/api/subscription-list

        Others' subscriptions may have forms that we don't know. One that can't be read is told of and left out; where
        none can be read, it is no list.
        """
        found: list[ActualSubscription] = []
        unreadable: GraphUnavailable | None = None
        for each in self.http.pages("subscriptions", "list the subscriptions"):
            try:
                found.append(parse_subscription(each))
            except GraphUnavailable as error:
                unreadable = error
                logger.warning("Graph lists something that is left out: %s", error)
        if unreadable is not None and not found:
            raise unreadable
        return found

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
        """See the port. https://learn.microsoft.com/entra/identity-platform/access-tokens#validate-tokens

        A token is Graph's to read: where it names no roles in a form that we know, Graph's own answer will tell.
        """
        try:
            claims = jwt.decode(self.http.token(), options={"verify_signature": False})
        except jwt.InvalidTokenError:
            return None
        roles = claims.get("roles")
        return frozenset(roles) if isinstance(roles, list) else None

    def licensed_users(self) -> Iterator[str]:
        """See the port."""
        return licensed_users(self.http)

    def members(self, group_id: str) -> Iterator[str]:
        """See the port."""
        return members(self.http, group_id)

    def resource(self, path: str) -> bytes:
        """See the port. The bytes are those that Graph sent, not written anew."""
        what = "fetch what a notification is about"
        answer = self.http.ask("GET", self.http.url(path), what)
        if not isinstance(answer.document, dict):
            raise GraphUnavailable(f"{what}: the answer is no JSON object; it is asked for again")
        return answer.content

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
        return fault(status, body, headers if isinstance(headers, dict) else {}, call.what, self.http.clock())

    def _call(self, method: str, path: str, what: str, body: Mapping[str, object] | None = None) -> object:
        return self.http.ask(method, self.http.url(path), what, body).document


def _inner(number: int, call: GraphCall) -> Mapping[str, object]:
    inner: dict[str, object] = {"id": str(number), "method": call.method, "url": f"/{call.path}"}
    if call.body is not None:
        inner |= {"body": call.body, "headers": {"Content-Type": "application/json"}}
    return inner


def _subscription(document: object) -> ActualSubscription | None:
    return None if not document else parse_subscription(document)
