"""Entra ID over HTTP: metadata, signing keys and the token endpoint.

The version 1.0 and 2.0 documents stand side by side as in the cloud:
https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc
"""

from collections import Counter
from typing import Any

from aiohttp import web

from local.graph.entra import Entra
from local.graph.entra_errors import EntraError


class EntraHttp:
    """The routes; `asked` counts requests by what they asked for: "keys", "configuration", "token"."""

    def __init__(self, entra: Entra) -> None:
        self._entra = entra
        self.asked: Counter[str] = Counter()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, each under `/{tenant}`."""
        return [
            web.get("/{tenant}/.well-known/openid-configuration", self._v1_configuration),
            web.get("/{tenant}/v2.0/.well-known/openid-configuration", self._v2_configuration),
            web.get("/{tenant}/discovery/keys", self._v1_keys),
            web.get("/{tenant}/discovery/v2.0/keys", self._v2_keys),
            web.post("/{tenant}/oauth2/v2.0/token", self._token),
        ]

    async def _v1_configuration(self, request: web.Request) -> web.Response:
        return self._configuration(request, "1.0", "discovery/keys", "oauth2")

    async def _v2_configuration(self, request: web.Request) -> web.Response:
        return self._configuration(request, "2.0", "discovery/v2.0/keys", "oauth2/v2.0")

    async def _v1_keys(self, request: web.Request) -> web.Response:
        return self._keys(request, "1.0")

    async def _v2_keys(self, request: web.Request) -> web.Response:
        return self._keys(request, "2.0")

    async def _token(self, request: web.Request) -> web.Response:
        self.asked["token"] += 1
        form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        try:
            return web.json_response(self._entra.grant(request.match_info["tenant"], form), headers=_NO_STORE)
        except EntraError as error:
            return self._refusal(error)

    def _configuration(self, request: web.Request, version: str, keys: str, oauth: str) -> web.Response:
        self.asked["configuration"] += 1
        try:
            tenant = self._entra.tenant_of(request.match_info["tenant"])
        except EntraError as error:
            return self._refusal(error)
        base = f"{self._entra.authority}/{request.match_info['tenant']}"
        document: dict[str, Any] = {
            "issuer": self._entra.issuer(version, tenant),
            "jwks_uri": f"{base}/{keys}",
            "token_endpoint": f"{base}/{oauth}/token",
            "authorization_endpoint": f"{base}/{oauth}/authorize",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "response_types_supported": ["code", "id_token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "tenant_region_scope": "EU",
            "cloud_instance_name": "microsoftonline.com",
        }
        return web.json_response(document)

    def _keys(self, request: web.Request, version: str) -> web.Response:
        self.asked["keys"] += 1
        try:
            tenant = self._entra.tenant_of(request.match_info["tenant"])
        except EntraError as error:
            return self._refusal(error)
        issuer = self._entra.issuer(version, tenant)
        return web.json_response({"keys": [key.jwk(issuer) for key in self._entra.keys.published]})

    def _refusal(self, error: EntraError) -> web.Response:
        return web.json_response(error.body(self._entra.authority), status=error.status, headers=_NO_STORE)


_NO_STORE = {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"}
