"""Entra ID: who exists in the tenant, and which tokens they get.

Only what a daemon needs: client credentials with a secret, client credentials with a managed identity's token as
assertion (workload identity federation), and the managed identity itself.
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

import hmac
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from local.graph import entra_errors
from local.graph.signing import SigningKeys
from local.graph.times import utc_now

GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
TOKEN_EXCHANGE = "api://AzureADTokenExchange"  # noqa: S105 - the name of an audience
VAULT_RESOURCE = "https://vault.azure.net"
STORAGE_RESOURCE = "https://storage.azure.com"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
V1_ISSUER = "https://sts.windows.net/{tenant}/"
ACCESS_TOKEN_SECONDS = 3600
MANAGED_IDENTITY_TOKEN_SECONDS = 86_400
_SKEW_SECONDS = 300


@dataclass(frozen=True)
class Principal:
    """What a token can be issued for: an app registration's service principal, or a managed identity.

    `secret` is None where there is none; `federated_subjects` are the object ids whose tokens count as this
    application's credential; `roles` are the application permissions that an administrator consented to.
    """

    client_id: str
    object_id: str
    roles: frozenset[str] = frozenset()
    secret: str | None = None
    federated_subjects: frozenset[str] = frozenset()


class Entra:
    """One tenant's directory, its token issuer, and the metadata documents about it."""

    def __init__(
        self,
        authority: str,
        tenant_id: str,
        keys: SigningKeys,
        *,
        graph_endpoint: str,
        other_tenants: Iterable[str] = (),
        v1_issuer: str = V1_ISSUER,
    ) -> None:
        self.authority = authority
        self.tenant_id = tenant_id
        self.keys = keys
        self._graph_endpoint = graph_endpoint
        self._tenants = {tenant_id, *other_tenants}
        self._v1_issuer = v1_issuer
        self._applications: dict[str, Principal] = {}

    def register(self, application: Principal) -> None:
        """Add an application to the tenant, or replace the one with the same client id."""
        self._applications[application.client_id.lower()] = application

    def application(self, client_id: str) -> Principal | None:
        """Return the application of that client id, if the tenant has one."""
        return self._applications.get(client_id.lower())

    def issuer(self, version: str, tenant_id: str) -> str:
        """Return the issuer of tokens of `version` ("1.0" or "2.0") for a tenant, or for the text "{tenantid}"."""
        if version == "1.0":
            return self._v1_issuer.format(tenant=tenant_id)
        return f"{self.authority}/{tenant_id}/v2.0"

    def tenant_of(self, path: str) -> str:
        """Return the tenant that a path segment names; "common" and "organizations" give the template.

        Raises:
            EntraError: no such tenant.
        """
        if path.lower() in {"common", "organizations"}:
            return "{tenantid}"
        if path.lower() not in self._tenants:
            raise entra_errors.unknown_tenant(path)
        return path.lower()

    def grant(self, tenant: str, form: Mapping[str, str]) -> dict[str, Any]:
        """Answer the token endpoint for a decoded form.

        Raises:
            EntraError: in the order Entra ID finds faults: tenant, grant, application, credential, scope.
        """
        if tenant.lower() != self.tenant_id:
            raise entra_errors.unknown_tenant(tenant)
        if form.get("grant_type") != "client_credentials":
            raise entra_errors.wrong_grant(form.get("grant_type", ""))
        application = self._authenticated(form)
        resource = self._resource_of(form.get("scope", ""))
        token = self.access_token(application, resource, seconds=ACCESS_TOKEN_SECONDS)
        lifetime = ACCESS_TOKEN_SECONDS - 1
        return {"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token}

    def access_token(self, principal: Principal, resource: str, *, seconds: int = ACCESS_TOKEN_SECONDS) -> str:
        """Return a signed token of `principal` for `resource`.

        Raises:
            EntraError: the tenant knows no such resource.
        """
        resource = self._known_resource(resource)
        # A federated credential names the v2.0 issuer:
        # https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
        version = "2.0" if resource == TOKEN_EXCHANGE else "1.0"
        now = int(utc_now().timestamp())
        claims: dict[str, Any] = {
            "aud": resource,
            "iss": self.issuer(version, self.tenant_id),
            "iat": now,
            "nbf": now - _SKEW_SECONDS,
            "exp": now + seconds,
            "appid" if version == "1.0" else "azp": principal.client_id,
            "idtyp": "app",
            "oid": principal.object_id,
            "sub": principal.object_id,
            "tid": self.tenant_id,
            "uti": uuid.uuid4().hex[:22],
            "ver": version,
        }
        if resource == self._graph_endpoint:
            claims["roles"] = sorted(principal.roles)
        return self.keys.current.sign(claims)

    def claims_of(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that a published key signed and that is in its time; the audience is not judged.

        Raises:
            jwt.InvalidTokenError: anything else.
        """
        key = self.keys.find(str(jwt.get_unverified_header(token).get("kid")))
        if key is None:
            raise jwt.InvalidTokenError("signed with an unknown key")
        options: Any = {"require": ["exp", "nbf", "iss", "aud"], "verify_aud": False}
        public_key = key.pair.private_key.public_key()
        return dict(jwt.decode(token, public_key, algorithms=["RS256"], options=options))

    def is_graph(self, audience: object) -> bool:
        """Say whether a token's audience is this simulator's Microsoft Graph."""
        return audience in {self._graph_endpoint, GRAPH_APP_ID}

    def _authenticated(self, form: Mapping[str, str]) -> Principal:
        if not (client_id := form.get("client_id", "")):
            raise entra_errors.missing_parameter("client_id")
        application = self.application(client_id)
        if application is None:
            raise entra_errors.unknown_application(client_id, self.tenant_id)
        if "client_assertion" in form:
            self._check_assertion(application, form)
        elif "client_secret" not in form:
            raise entra_errors.missing_credential()
        elif not _same_secret(application.secret, form["client_secret"]):
            raise entra_errors.wrong_secret(client_id)
        return application

    def _check_assertion(self, application: Principal, form: Mapping[str, str]) -> None:
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise entra_errors.missing_parameter("client_assertion_type")
        try:
            claims = self.claims_of(form["client_assertion"])
        except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError) as error:
            raise entra_errors.expired_assertion() from error
        except jwt.InvalidTokenError as error:
            raise entra_errors.malformed_assertion() from error
        if claims["iss"] != self.issuer("2.0", self.tenant_id):
            raise entra_errors.unmatched_assertion("issuer", claims["iss"])
        if claims.get("sub") not in application.federated_subjects:
            raise entra_errors.unmatched_assertion("subject", claims.get("sub"))
        if claims["aud"] != TOKEN_EXCHANGE:
            raise entra_errors.unmatched_assertion("audience", claims["aud"])

    def _resource_of(self, scope: str) -> str:
        if not scope:
            raise entra_errors.missing_parameter("scope")
        if not scope.endswith("/.default") or " " in scope:
            raise entra_errors.wrong_scope(scope)
        return scope.removesuffix("/.default")

    def _known_resource(self, resource: str) -> str:
        known = {self._graph_endpoint, TOKEN_EXCHANGE, VAULT_RESOURCE, STORAGE_RESOURCE}
        bare = resource.rstrip("/")
        if bare not in known:
            raise entra_errors.unknown_resource(resource, self.tenant_id)
        return bare


def _same_secret(expected: str | None, given: str) -> bool:
    return expected is not None and hmac.compare_digest(expected.encode(), given.encode())
