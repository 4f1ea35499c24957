"""Where everything of a running simulator is, and the settings that tell an app so."""

from pathlib import Path

from local.graph.cloud import CERTIFICATE_NAME, Cloud
from local.graph.managed_identity import PATH as IDENTITY_PATH
from local.graph.tls import TlsFiles

LOOPBACK = "127.0.0.1"


class Addresses:
    """The addresses and names of a simulator; they exist while it runs."""

    cloud: Cloud
    _files: TlsFiles
    _base_url: str
    _identity_port: int

    @property
    def authority_host(self) -> str:
        """Where Entra ID is."""
        return self._base_url

    @property
    def graph_endpoint(self) -> str:
        """Where Microsoft Graph is."""
        return self._base_url

    @property
    def vault_url(self) -> str:
        """Where Key Vault is."""
        return self._base_url

    @property
    def ca_file(self) -> Path:
        """The certificate to trust, as `REQUESTS_CA_BUNDLE`."""
        return self._files.ca_file

    @property
    def tenant_id(self) -> str:
        """The tenant."""
        return self.cloud.who.tenant_id

    @property
    def client_id(self) -> str:
        """The app registration's client id."""
        return self.cloud.who.application.client_id

    @property
    def client_secret(self) -> str:
        """The app registration's secret."""
        return self.cloud.who.client_secret

    @property
    def client_state(self) -> str:
        """What `subscribe` uses as clientState, unless told otherwise."""
        return self.cloud.who.client_state

    @property
    def certificate_name(self) -> str:
        """The encryption certificate's name in the vault."""
        return CERTIFICATE_NAME

    def settings(self) -> dict[str, str]:
        """Return settings for an app that is to work against this simulator."""
        return {
            "AUTHORITY_HOST": self.authority_host,
            "GRAPH_ENDPOINT": self.graph_endpoint,
            "KEY_VAULT_URL": self.vault_url,
            "ENCRYPTION_CERTIFICATE": self.certificate_name,
            "GRAPH_TENANT_ID": self.tenant_id,
            "GRAPH_CLIENT_ID": self.client_id,
            "GRAPH_CLIENT_SECRET": self.client_secret,
            "CLIENT_STATE": self.client_state,
            "REQUESTS_CA_BUNDLE": str(self.ca_file.resolve()),
        }

    def identity_environment(self) -> dict[str, str]:
        """Return the environment in which azure-identity finds the managed identity."""
        return {
            "IDENTITY_ENDPOINT": f"http://{LOOPBACK}:{self._identity_port}{IDENTITY_PATH}",
            "IDENTITY_HEADER": self.cloud.who.identity_header,
        }
