"""Key Vault over HTTP: secrets and certificates, read only, behind the authentication challenge.

https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret
https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses
"""

import base64
from typing import Any

import jwt
from aiohttp import web

from local.graph.entra import VAULT_RESOURCE, Entra
from local.graph.vault import Vault, Version


class VaultError(Exception):
    """A refusal: HTTP status, Key Vault's code and text, and the inner code where there is one."""

    def __init__(self, status: int, code: str, message: str, inner: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"error": {"code": code, "message": message}}
        if inner is not None:
            self.body["error"]["innererror"] = {"code": inner}


class VaultHttp:
    """The routes of one vault at `url`, which trusts tokens of one tenant."""

    def __init__(self, vault: Vault, entra: Entra, url: str) -> None:
        self._vault = vault
        self._entra = entra
        self._url = url

    def routes(self) -> list[web.RouteDef]:
        """Return the routes. The SDK asks for the newest version with a trailing slash, people without."""
        return [
            web.get(f"/{{kind:secrets|certificates}}/{{name}}{rest}", self._read)
            for rest in ("", "/", "/{version}", "/{version}/")
        ]

    async def _read(self, request: web.Request) -> web.Response:
        try:
            self._check_caller(request)
            _check_version(request)
            return web.json_response(self._document(request))
        except VaultError as error:
            return web.json_response(error.body, status=error.status, headers=self._challenge(error.status))

    def _check_caller(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise VaultError(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
        try:
            claims = self._entra.claims_of(token)
        except jwt.InvalidTokenError as error:
            raise VaultError(401, "Unauthorized", f"AKV10022: Invalid token: {error}.") from error
        if claims["aud"] != VAULT_RESOURCE:
            raise VaultError(401, "Unauthorized", f"AKV10022: Invalid audience. Expected {VAULT_RESOURCE}.")

    def _challenge(self, status: int) -> dict[str, str]:
        if status != 401:
            return {}
        authorization = f"{self._entra.authority}/{self._entra.tenant_id}"
        return {"WWW-Authenticate": f'Bearer authorization="{authorization}", resource="{VAULT_RESOURCE}"'}

    def _document(self, request: web.Request) -> dict[str, Any]:
        kind, name = request.match_info["kind"], request.match_info["name"]
        version_id = request.match_info.get("version")
        if version_id == "versions":
            return {"value": [self._listed(kind, name, each) for each in self._vault.versions(name)], "nextLink": None}
        version = self._vault.find(name, version_id)
        if version is None:
            raise _not_found(kind, name, version_id)
        if kind == "certificates":
            return self._certificate(name, version)
        if not version.enabled:
            message = "Operation get is not allowed on a disabled secret."
            raise VaultError(403, "Forbidden", message, "SecretDisabled")
        return self._secret(name, version)

    def _id(self, kind: str, name: str, version: Version) -> str:
        return f"{self._url}/{kind}/{name}/{version.id}"

    def _listed(self, kind: str, name: str, version: Version) -> dict[str, Any]:
        return {"id": self._id(kind, name, version), "attributes": version.attributes()}

    def _secret(self, name: str, version: Version) -> dict[str, Any]:
        # An expired version is still handed out: the dates do not bind a secret's get.
        # https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#date-time-controlled-operations
        return {
            "value": version.secret_value(),
            "contentType": version.content_type,
            "id": self._id("secrets", name, version),
            "kid": self._id("keys", name, version),
            "managed": True,
            "attributes": version.attributes(),
        }

    def _certificate(self, name: str, version: Version) -> dict[str, Any]:
        return {
            "id": self._id("certificates", name, version),
            "kid": self._id("keys", name, version),
            "sid": self._id("secrets", name, version),
            "x5t": version.thumbprint(),
            "cer": base64.b64encode(version.pair.der).decode(),
            "attributes": version.attributes(),
            "policy": {
                "id": f"{self._url}/certificates/{name}/policy",
                "key_props": {
                    "exportable": True,
                    "kty": "RSA",
                    "key_size": version.pair.private_key.key_size,
                    "reuse_key": False,
                },
                "secret_props": {"contentType": version.content_type},
                "x509_props": {"subject": f"CN={name}", "validity_months": 12},
                "issuer": {"name": "Self"},
            },
        }


def _check_version(request: web.Request) -> None:
    if "api-version" not in request.query:
        raise VaultError(400, "BadParameter", "api-version must be specified")


def _not_found(kind: str, name: str, version_id: str | None) -> VaultError:
    noun = kind.removesuffix("s")
    where = f"{noun} with (name/id) {name}" + (f"/{version_id}" if version_id else "")
    return VaultError(404, f"{noun.title()}NotFound", f"A {where} was not found in this key vault.")
