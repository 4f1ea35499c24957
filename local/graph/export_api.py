"""The export of interactions: per user as documented, and of the whole tenant where the policy has it.

https://learn.microsoft.com/microsoft-365/copilot/extensibility/api/ai-services/interaction-export/aiinteractionhistory-getallenterpriseinteractions
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args
from urllib.parse import quote

from local.graph import directory_query, export_filter, export_pages
from local.graph.directory import Directory
from local.graph.export_filter import EVERYTHING, ExportFilter
from local.graph.export_throttle import ExportThrottle
from local.graph.export_tokens import Position, SkipTokens
from local.graph.gateway import Operation, operation
from local.graph.graph_errors import GraphError, bad_request, forbidden, not_found
from local.graph.graph_request import GraphAnswer, GraphRequest
from local.graph.mailbox import Mailbox, Row
from local.graph.net_encoding import url_encoded
from local.graph.policy import Policy
from local.graph.randomness import chance, stream
from local.graph.subscription_rules import Caller
from local.graph.tenant_history import TenantHistory

ROLE = "AiEnterpriseInteraction.Read.All"
Trouble = Literal["403", "404", "500", "503", "slow"]
TROUBLES: tuple[Trouble, ...] = get_args(Trouble)
Shown = Callable[[str, Sequence[str]], None]
_FUNCTION = r"interactionHistory/(?:microsoft\.graph\.)?getAllEnterpriseInteractions(?:\(\))?"
_OPTIONS = ("$top", "$filter", "$skiptoken")
_WHOLE = ""


@dataclass(frozen=True)
class _Asked:
    """A request, understood; `question` is what a skip token must have been given for."""

    path: str
    size: int
    wanted: ExportFilter
    question: tuple[str, ...]


class ExportApi:
    """The operations. `shown` hears of versions when they are first shown to anybody: owner and refs."""

    def __init__(
        self,
        history: TenantHistory,
        directory: Directory,
        throttle: ExportThrottle,
        tokens: SkipTokens,
        policy: Policy,
        *,
        seed: int,
        graph_endpoint: str,
        shown: Shown,
    ) -> None:
        self.troubles: dict[str, Trouble] = {}
        self._history = history
        self._directory = directory
        self._throttle = throttle
        self._tokens = tokens
        self._policy = policy
        self._seed = seed
        self._graph_endpoint = graph_endpoint
        self._shown = shown
        self._streams: dict[str, random.Random] = {}

    def operations(self) -> list[Operation]:
        """Return what the gateway is to serve."""
        return [
            operation(
                "EXPORT", "GET", rf"/copilot/users(?:/(?P<id>[^/]+)|\('(?P<key>[^']+)'\))/{_FUNCTION}", self._user
            ),
            operation("EXPORT", "GET", rf"/copilot/{_FUNCTION}", self._tenant),
        ]

    async def _user(self, request: GraphRequest, caller: Caller) -> GraphAnswer:
        name = request.matched["id"] or request.matched["key"]
        account = self._directory.find(name)
        user = account.id if account else name.lower()
        self._admit(caller, user)
        await self._suffer(user, caller)
        asked = self._asked(request, f"copilot/users/{name}")
        mailbox = self._mailbox(user)
        return self._answer(request, asked, user, mailbox)

    async def _tenant(self, request: GraphRequest, caller: Caller) -> GraphAnswer:
        self._admit(caller, _WHOLE)
        if not self._policy.export.tenant_export:
            raise bad_request("Resource not found for the segment 'getAllEnterpriseInteractions'.")
        await self._suffer(_WHOLE, caller)
        return self._answer(request, self._asked(request, "copilot"), _WHOLE, self._history.whole())

    def _admit(self, caller: Caller, user: str) -> None:
        self._throttle.take(_who(caller), user)
        if ROLE not in caller.roles:
            raise forbidden(f"Missing role permissions on the request. API requires one of '{ROLE}'.")

    async def _suffer(self, user: str, caller: Caller) -> None:
        policy, rng = self._policy.export, self._stream(user)
        trouble = self.troubles.get(user)
        if trouble == "slow":
            await asyncio.sleep(policy.slow_seconds)
        if trouble == "503" or chance(rng, policy.error_503):
            raise self._throttle.refusal(503, _who(caller), user)
        if trouble == "500" or chance(rng, policy.error_500):
            raise GraphError(500, "InternalServerError", "Failed to execute request.")
        if chance(rng, policy.error_429):
            raise self._throttle.refusal(429, _who(caller))

    def _asked(self, request: GraphRequest, path: str) -> _Asked:
        policy, query = self._policy.export, request.query
        for name in query:
            if name not in _OPTIONS:
                raise bad_request(f"Query option '{name}' is not supported.")
        if "$filter" in query and policy.refuse_filter:
            raise bad_request("The query specified in the URI is not valid. $filter is not supported.")
        wanted = export_filter.parse(query["$filter"]) if "$filter" in query else EVERYTHING
        if wanted.is_combined and policy.refuse_combination:
            raise bad_request("Filtering on createdDateTime and appClass together is not supported.")
        question = path.lower(), query.get("$filter", ""), query.get("$top", "")
        size = directory_query.page_size(query["$top"], policy.largest_page) if "$top" in query else policy.default_page
        return _Asked(path, size, wanted, question)

    def _mailbox(self, user: str) -> Mailbox:
        trouble, account = self.troubles.get(user), self._directory.find(user)
        mailbox = self._history.mailbox(user)
        if trouble == "404" or self._directory.is_deleted(user) or (account is None and mailbox is None):
            raise not_found()
        served = account is not None and (account.is_licensed or (account.former and self._policy.export.serve_former))
        if trouble == "403" or not served:
            # Licensed users were seen to get this, too.
            raise forbidden("UnknownError")
        return mailbox or Mailbox()

    def _answer(self, request: GraphRequest, asked: _Asked, user: str, mailbox: Mailbox) -> GraphAnswer:
        policy, rng = self._policy.export, self._stream(user)
        token = request.query.get("$skiptoken")
        start = Position() if token is None else self._tokens.take(token, asked.question)
        page = export_pages.turn(mailbox, asked.wanted, start, asked.size, policy, rng)
        self._note(user, page.rows)
        annotations: dict[str, Any] = {
            "@odata.context": (
                f"{self._graph_endpoint}/{request.version}/$metadata#Collection(microsoft.graph.aiInteraction)"
            )
        }
        if page.following is not None:
            annotations["@odata.nextLink"] = self._next_link(request, asked, page.following)
        counted = chance(rng, policy.counted)
        return GraphAnswer(200, content=export_pages.body(annotations, page.rows, self._history.item, counted=counted))

    def _note(self, user: str, rows: Sequence[Row]) -> None:
        fresh = [row for row in rows if not row.told]
        for row in fresh:
            row.told = True
        if fresh:
            self._shown(user, [row.shown.ref for row in fresh if row.shown is not None])

    def _next_link(self, request: GraphRequest, asked: _Asked, following: Position) -> str:
        options = {name: request.query[name] for name in ("$top", "$filter") if name in request.query}
        options["$skiptoken"] = self._tokens.give(asked.question, following)
        query = "&".join(f"{name}={url_encoded(value)}" for name, value in options.items())
        path = quote(f"{asked.path}/interactionHistory/getAllEnterpriseInteractions", safe="/@")
        return f"{self._graph_endpoint}/{request.version}/{path}?{query}"

    def _stream(self, user: str) -> random.Random:
        return self._streams.setdefault(user, stream(self._seed, "export", user))


def _who(caller: Caller) -> tuple[str, str]:
    return caller.tenant_id, caller.application.client_id
