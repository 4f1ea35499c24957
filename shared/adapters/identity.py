"""As whom the app calls Azure and Graph: its managed identity, or a client secret where there is none.

https://learn.microsoft.com/python/api/overview/azure/identity-readme
"""

from azure.core.credentials import TokenCredential
from azure.identity import ClientSecretCredential, ManagedIdentityCredential


def app_credential(
    *, tenant_id: str, client_id: str, client_secret: str | None, authority_host: str, instance_discovery: bool
) -> TokenCredential | None:
    """The app registration by its secret, None where there is no secret."""
    if client_secret is None:
        return None
    return ClientSecretCredential(
        tenant_id,
        client_id,
        client_secret,
        authority=authority_host,
        disable_instance_discovery=not instance_discovery,
    )


def managed_identity(client_id: str | None) -> TokenCredential:
    """The app's managed identity; ``client_id`` selects a user-assigned one."""
    return ManagedIdentityCredential(client_id=client_id)
