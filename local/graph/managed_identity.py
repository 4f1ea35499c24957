"""The managed identity endpoint of an App Service or Functions sandbox: plain HTTP, guarded by a header.

https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
"""

import hmac

from aiohttp import web

from local.graph.entra import MANAGED_IDENTITY_TOKEN_SECONDS, Entra, Principal
from local.graph.entra_errors import EntraError
from local.graph.times import utc_now

PATH = "/msi/token"
API_VERSION = "2019-08-01"


class ManagedIdentityHttp:
    """The endpoint for one identity; `header` is what `X-IDENTITY-HEADER` must carry."""

    def __init__(self, entra: Entra, identity: Principal, header: str) -> None:
        self._entra = entra
        self._identity = identity
        self._header = header

    def routes(self) -> list[web.RouteDef]:
        """Return the one route."""
        return [web.get(PATH, self._token)]

    async def _token(self, request: web.Request) -> web.Response:
        if not hmac.compare_digest(request.headers.get("X-IDENTITY-HEADER", "").encode(), self._header.encode()):
            return _refusal(401, "The X-IDENTITY-HEADER header is missing or wrong.")
        if request.query.get("api-version") != API_VERSION:
            return _refusal(400, f"The api-version query parameter must be {API_VERSION}.")
        client_id = request.query.get("client_id")
        if client_id is not None and client_id.lower() != self._identity.client_id:
            return _refusal(400, "No User Assigned or Delegated Managed Identity found for specified ClientId.")
        return self._answer(request.query.get("resource", ""))

    def _answer(self, resource: str) -> web.Response:
        try:
            token = self._entra.access_token(self._identity, resource, seconds=MANAGED_IDENTITY_TOKEN_SECONDS)
        except EntraError as error:
            return _refusal(400, str(error))
        expires_on = int(utc_now().timestamp()) + MANAGED_IDENTITY_TOKEN_SECONDS
        return web.json_response(
            {
                "access_token": token,
                "client_id": self._identity.client_id,
                "expires_on": str(expires_on),
                "resource": resource,
                "token_type": "Bearer",
            }
        )


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"statusCode": status, "message": message}, status=status)
