"""Microsoft's own client for this API, as its documentation has it used. Runs in an environment that has it.

It comes without an iterator over pages, so the caller follows the links, and without a retry that runs, so the caller
waits as Graph says. ``python -m benchmarks.export_peer as-it-comes|mended ORIGIN [USER]``: with a user one page is
asked for, and what the caller got is printed. ``mended`` runs the client's own middleware, see ``_mend``.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from benchmarks.export_turns import FILTER, serve_turns

AS_IT_COMES, MENDED = "as-it-comes", "mended"
DISTRIBUTIONS = ("microsoft-agents-m365copilot", "microsoft-kiota-http", "httpx")
_PATH = "generated.copilot.users.item.interaction_history.get_all_enterprise_interactions"


class _Credential:
    """A token that is there already."""

    def get_token(self, *_: str, **__: object) -> SimpleNamespace:
        return SimpleNamespace(token="benchmark", expires_on=int(time.time()) + 3600)  # noqa: S106 - opens nothing

    def close(self) -> None:
        pass


class OfficialClient:
    """The client, and the loop that any caller needs around it."""

    def __init__(self, origin: str, *, mended: bool) -> None:
        # By name, because type checkers run where it is not installed.
        sdk: Any = import_module("microsoft_agents_m365copilot")
        kiota: Any = import_module("kiota_authentication_azure.azure_identity_authentication_provider")
        builders: Any = import_module(
            f"microsoft_agents_m365copilot.{_PATH}.{_PATH.rpartition('.')[2]}_request_builder"
        )
        configuration: Any = import_module("kiota_abstractions.base_request_configuration").RequestConfiguration
        self.refusal: Any = import_module("kiota_abstractions.api_error").APIError
        hosts = [urlsplit(origin).hostname]
        provider = kiota.AzureIdentityAuthenticationProvider(_Credential(), scopes=["x"], allowed_hosts=hosts)
        adapter = sdk.AgentsM365CopilotRequestAdapter(provider)
        adapter.base_url = f"{origin}/v1.0"
        if mended:
            _mend(adapter)
        builder = builders.GetAllEnterpriseInteractionsRequestBuilder
        query = builder.GetAllEnterpriseInteractionsRequestBuilderGetQueryParameters(top=100, filter=FILTER)
        self._first = configuration(query_parameters=query)
        self._client = sdk.AgentsM365CopilotServiceClient(request_adapter=adapter)

    async def page(self, user: str, link: str | None = None) -> Any:  # noqa: ANN401 - its own model
        """One page, asked for once."""
        history = self._client.copilot.users.by_ai_user_id(user).interaction_history
        ask = history.get_all_enterprise_interactions
        return await (ask.get(self._first) if link is None else ask.with_url(link).get())

    async def pull(self, user: str) -> int:
        """All pages of a user."""
        done, link = 0, None
        while True:
            try:
                page = await self.page(user, link)
            except self.refusal as error:
                if error.response_status_code != 429:
                    raise
                await asyncio.sleep(int(error.response_headers["Retry-After"]))
                continue
            done += len(page.value)
            link = page.odata_next_link
            if link is None:
                return done

    async def pull_all(self, users: Sequence[str]) -> int:
        """All pages of all users, at the same time."""
        return sum(await asyncio.gather(*map(self.pull, users)))


def _mend(adapter: Any) -> None:  # noqa: ANN401 - see above
    """Have the client's middleware run, the retry among it.

    Its transport runs the middleware for a request that has ``options``, where microsoft-kiota-http used to keep them.
    That keeps them in ``extensions`` now, so nothing between the caller and the network runs, and nothing says so.
    """

    async def give_options(request: Any) -> None:  # noqa: ANN401 - of its HTTP library
        request.options = request.extensions.get("kiota_request_options", {})

    adapter._http_client.event_hooks["request"].append(give_options)  # noqa: SLF001 - there is no other way


async def tell(client: OfficialClient, user: str) -> dict[str, object]:
    """What a caller gets who asks for one page."""
    begin = time.perf_counter()
    try:
        page = await client.page(user)
        got = f"a page of {len(page.value)}"
    except client.refusal as error:
        got = f"{type(error).__name__}, status {error.response_status_code}"
    return {"got": got, "seconds": time.perf_counter() - begin}


def main() -> None:
    """Serve turns, or tell of one page."""
    mended, origin = sys.argv[1] == MENDED, sys.argv[2]
    with asyncio.Runner() as runner:
        client = runner.run(_made(origin, mended=mended))
        if sys.argv[3:]:
            print(json.dumps(runner.run(tell(client, sys.argv[3]))))
        else:
            serve_turns(lambda users: runner.run(client.pull_all(users)))


async def _made(origin: str, *, mended: bool) -> OfficialClient:
    return OfficialClient(origin, mended=mended)


if __name__ == "__main__":
    main()
