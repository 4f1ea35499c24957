"""Credentials that adapters are tried with: the app's in the simulated tenant, and one that has what it has."""

from azure.core.credentials import AccessToken, TokenCredential

from local.graph import Simulator
from shared.adapters.identity import secret_credential

TOKEN = "the-token"


class OneToken(TokenCredential):
    """A credential that has one token, or none and says why."""

    def __init__(self, token: str | Exception = TOKEN) -> None:
        self._token = token

    def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
        if isinstance(self._token, Exception):
            raise self._token
        return AccessToken(self._token, 2**40)


def app_credential(graph: Simulator) -> TokenCredential:
    """The client secret of the simulated tenant's app."""
    return secret_credential(
        tenant_id=graph.tenant_id,
        client_id=graph.client_id,
        client_secret=graph.client_secret,
        authority_host=graph.authority_host,
        instance_discovery=False,
    )
