"""The simulator: starts and stops the cloud, and is the handle that tests and `make run` hold."""

from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from datetime import date, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from local.graph import cloud, handshake, operator_app, tls, web
from local.graph.addresses import LOOPBACK, Addresses
from local.graph.authorisation import Authorisations
from local.graph.batch import BatchApi
from local.graph.callers import Callers
from local.graph.clock import Clock
from local.graph.cloud import CERTIFICATE_NAME, ROLES
from local.graph.content.change import Change
from local.graph.control import ControlHttp
from local.graph.delivery import Delivery
from local.graph.directory import Directory
from local.graph.entra_http import EntraHttp
from local.graph.export_api import ExportApi
from local.graph.export_policy import ExportPolicy
from local.graph.export_throttle import ExportThrottle
from local.graph.export_tokens import SkipTokens
from local.graph.faults import Faults, Timing
from local.graph.gateway import Gateway
from local.graph.groups import GroupsApi
from local.graph.history import Event
from local.graph.ledger import Ledger, Post
from local.graph.ledger_writer import LedgerWriter
from local.graph.managed_identity import ManagedIdentityHttp
from local.graph.policy import Limits, Policy
from local.graph.randomness import stream
from local.graph.resource_api import ResourceApi
from local.graph.resources import COPILOT_TENANT
from local.graph.script import Script
from local.graph.skus import SkusApi
from local.graph.subscription import Subscription
from local.graph.subscription_api import SubscriptionApi
from local.graph.subscription_store import Subscriptions
from local.graph.tenant_history import TenantHistory
from local.graph.tenant_script import TenantScript
from local.graph.throttle import Throttle
from local.graph.traffic import Traffic
from local.graph.users import UsersApi
from local.graph.vault import PKCS12, ContentType, Version
from local.graph.vault_http import VaultHttp


class Simulator(Addresses, Script, TenantScript):
    """A simulated Microsoft Graph with Entra ID and Key Vault: `async with Simulator(folder=...) as graph:`.

    `folder` gets `ca.pem`, the server's certificate and `ledger.jsonl`. `port` 0 takes a free one. `bits` is the size
    of the encryption keys. `allow_http_loopback` is the one relaxation: notification URLs on this machine may be
    `http://`; the real Graph takes `https://` only. `control` serves `/_simulator/` as well.

    `clock` is what subscriptions live by, `limits` are rates and quotas, `strict_patch` refuses new certificates in a
    PATCH, `export` is how the export behaves: as friendly as the faults are, unless it is given. `policy` changes the
    latter three while it runs.

    While it runs, `cloud` (vault, keys, outages, content), `subscriptions`, `delivery`, `traffic`, `history` (what
    happened), `directory`, `asked` (how often Entra ID was asked for keys) and everything of `Script` and of
    `TenantScript` are there to be scripted.
    """

    delivery: Delivery
    traffic: Traffic
    entra_http: EntraHttp

    def __init__(
        self,
        *,
        folder: Path,
        seed: int = 1,
        port: int = 0,
        bits: int = 2048,
        roles: frozenset[str] = ROLES,
        faults: Faults | None = None,
        timing: Timing | None = None,
        allow_http_loopback: bool = True,
        control: bool = False,
        clock: Clock | None = None,
        limits: Limits | None = None,
        strict_patch: bool = False,
        export: ExportPolicy | None = None,
    ) -> None:
        self.folder = folder
        self.seed = seed
        self.clock = clock or Clock()
        own = ExportPolicy.friendly() if faults == Faults.friendly() else ExportPolicy()
        self.policy = Policy(limits or Limits(), strict_patch=strict_patch, export=export or own)
        self.subscriptions = Subscriptions(self.clock, self.policy)
        self.timing = timing or Timing()
        self._port = port
        self._bits = bits
        self._roles = roles
        self._faults = faults or Faults()
        self._allow_http_loopback = allow_http_loopback
        self._control = control
        self._stack = AsyncExitStack()
        self._base_url = ""
        self._identity_port = 0

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def subscribe(
        self,
        notification_url: str,
        lifecycle_url: str | None = None,
        *,
        resource: str = COPILOT_TENANT,
        change_type: str = "created,updated,deleted",
        client_state: str | None = None,
        rich: bool = True,
        lasts: timedelta = timedelta(hours=24),
    ) -> dict[str, Any]:
        """Create a subscription as the operator's app would, over HTTP, with the vault's newest certificate.

        Raises:
            SubscriptionRefused: with Graph's error, for instance of the handshake.
        """
        body = operator_app.wanted(
            notification_url,
            lifecycle_url,
            resource=resource,
            change_type=change_type,
            client_state=client_state or self.client_state,
            certificate=self.cloud.vault.find(CERTIFICATE_NAME) if rich else None,
            until=self.clock.now() + lasts,
        )
        return await operator_app.create(self._session, self.graph_endpoint, await self.graph_token(), body)

    async def graph_token(self) -> str:
        """Return a token of the app registration for Graph, asked for over HTTP."""
        scope = f"{self.graph_endpoint}/.default"
        return await operator_app.request_token(
            self._session, self.authority_host, self.tenant_id, self.client_id, self.client_secret, scope
        )

    def day(self, when: date, *, interactions: int = 300, users: int = 25, chats: int = 10) -> list[Change]:
        """Return a day of the tenant: see `TenantContent.day`."""
        return self.cloud.content.day(when, interactions=interactions, users=users, chats=chats)

    async def send(self, changes: Iterable[Change]) -> list[Post]:
        """Notify of changes at once, and wait until each post was accepted or given up."""
        return await self.traffic.send(changes)

    async def play(self, changes: Iterable[Change], *, seconds: float) -> list[Post]:
        """Notify of changes at the pace of a day in so many real seconds, and wait as `send` does."""
        return await self.traffic.send(changes, seconds=seconds)

    async def forge(self, kind: str, *, neighbours: Iterable[Change] = ()) -> Post:
        """Send a forged post: see `Traffic.forge`."""
        return await self.traffic.forge(kind, neighbours=neighbours)

    def rotate_certificate(self, *, content_type: ContentType = PKCS12, bits: int | None = None) -> Version:
        """Add a version of the encryption certificate. Subscriptions that exist keep the one they have."""
        return self.cloud.vault.rotate(CERTIFICATE_NAME, content_type=content_type, bits=bits)

    def ledger(self) -> Ledger:
        """Read the ledger as it is now."""
        return Ledger.read(self.folder)

    @property
    def asked(self) -> Mapping[str, int]:
        """How often Entra ID was asked: "keys", "configuration", "token"."""
        return self.entra_http.asked

    async def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._files = tls.issue(self.folder)
        listener = web.listen(LOOPBACK, self._port)
        identity_listener = web.listen(LOOPBACK, 0)
        self._stack.callback(listener.close)
        self._stack.callback(identity_listener.close)
        self._base_url = f"https://localhost:{web.port_of(listener)}"
        self._identity_port = web.port_of(identity_listener)
        self.cloud = cloud.build(self._base_url, self.folder, seed=self.seed, roles=self._roles, bits=self._bits)
        await self._start_traffic()
        main = web.Listener(listener, self._routes(), self.cloud.outages, self.clock)
        identity = web.Listener(identity_listener, self._identity().routes(), self.cloud.outages, self.clock)
        await main.start(self._files.server_context())
        self._stack.push_async_callback(main.stop)
        await identity.start()
        self._stack.push_async_callback(identity.stop)
        self._stack.callback(self.cloud.outages.end_all)

    async def _start_traffic(self) -> None:
        connector = aiohttp.TCPConnector(ssl=self._files.client_context(), limit=0)
        self._session = await self._stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        self._ledger = LedgerWriter(self.folder)
        self._stack.callback(self._ledger.close)
        self.delivery = Delivery(self._session, self._ledger, self.timing)
        self._stack.push_async_callback(self.delivery.close)
        self.authorisations = Authorisations(self.clock, self.policy, self._ledger.violation)
        self.subscriptions.told = self._note
        self.history = TenantHistory(self.clock, self.policy, seed=self.seed)
        self.directory = Directory(self.cloud.content, self.policy, seed=self.seed)
        self.traffic = Traffic(
            self.cloud,
            self.subscriptions,
            self.authorisations,
            self.delivery,
            self._ledger,
            self.history,
            seed=self.seed,
            faults=self._faults,
        )

    def _note(self, event: Event, subscription: Subscription) -> None:
        if event.fate == "created":
            self._ledger.subscription(subscription.id, subscription.resource.text, subscription.notification_url)
        self._ledger.fate(event)

    async def _probe(self, url: str) -> None:
        await handshake.probe(self._session, url, self._handshake_rng, self.timing.handshake_answer)

    def _graph(self) -> Gateway:
        self._handshake_rng = stream(self.seed, "handshake")
        gateway = Gateway(Callers(self.cloud.entra), Throttle(self.policy), self.clock)
        subscriptions = SubscriptionApi(
            self.subscriptions,
            self.authorisations,
            self._probe,
            self.clock,
            self.policy,
            graph_endpoint=self.graph_endpoint,
            allow_http_loopback=self._allow_http_loopback,
        )
        gateway.add(subscriptions.operations())
        gateway.add(BatchApi(gateway.answer, stream(self.seed, "batch")).operations())
        for api in self._tenant_apis():
            gateway.add(api.operations())
        return gateway

    def _tenant_apis(self) -> "tuple[UsersApi | GroupsApi | SkusApi | ExportApi | ResourceApi, ...]":
        endpoint = self.graph_endpoint
        throttle = ExportThrottle(
            self.policy, self.clock, stream(self.seed, "export throttle"), self.authorisations.flag
        )
        self.export_api = ExportApi(
            self.history,
            self.directory,
            throttle,
            SkipTokens(self.clock, self.policy),
            self.policy,
            seed=self.seed,
            graph_endpoint=endpoint,
            shown=self._ledger.shown,
        )
        return (
            UsersApi(self.directory, self.policy, graph_endpoint=endpoint),
            GroupsApi(self.directory, graph_endpoint=endpoint),
            SkusApi(self.directory, tenant_id=self.tenant_id, graph_endpoint=endpoint),
            self.export_api,
            ResourceApi(self.history, self.policy, graph_endpoint=endpoint),
        )

    def _routes(self) -> list[Any]:
        self.entra_http = EntraHttp(self.cloud.entra)
        self.gateway = self._graph()
        vault = VaultHttp(self.cloud.vault, self.cloud.entra, self.vault_url)
        control = ControlHttp(self).routes() if self._control else []
        return [*control, *self.gateway.routes(), *vault.routes(), *self.entra_http.routes()]

    def _identity(self) -> ManagedIdentityHttp:
        who = self.cloud.who
        return ManagedIdentityHttp(self.cloud.entra, who.managed_identity, who.identity_header)
