"""As whom the app calls Azure and Graph: its managed identity, or a client secret where there is none.

https://learn.microsoft.com/python/api/overview/azure/identity-readme
"""

from azure.core.credentials import TokenCredential
from azure.identity import ClientAssertionCredential, ClientSecretCredential, ManagedIdentityCredential


def secret_credential(
    *, tenant_id: str, client_id: str, client_secret: str, authority_host: str, instance_discovery: bool
) -> TokenCredential:
    """The app registration by its secret: for local use."""
    return ClientSecretCredential(
        tenant_id,
        client_id,
        client_secret,
        authority=authority_host,
        disable_instance_discovery=not instance_discovery,
    )


def federated_credential(
    *,
    tenant_id: str,
    client_id: str,
    managed_identity_client_id: str | None,
    exchange_audience: str,
    authority_host: str,
    instance_discovery: bool,
) -> TokenCredential:
    """The app registration by the managed identity, without any secret.

    https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
    """
    identity = ManagedIdentityCredential(client_id=managed_identity_client_id)
    return ClientAssertionCredential(
        tenant_id,
        client_id,
        lambda: identity.get_token(f"{exchange_audience}/.default").token,
        authority=authority_host,
        disable_instance_discovery=not instance_discovery,
    )


def managed_identity(client_id: str | None) -> TokenCredential:
    """The app's managed identity; ``client_id`` selects a user-assigned one."""
    return ManagedIdentityCredential(client_id=client_id)
