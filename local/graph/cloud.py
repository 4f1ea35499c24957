"""The parts of the simulated cloud, put together: who is in the tenant, what serves it, what is told of changes."""

import random
import secrets
from dataclasses import dataclass
from pathlib import Path

from local.graph.content.day import TenantContent
from local.graph.entra import Entra, Principal
from local.graph.outages import Outages
from local.graph.randomness import guid, stream
from local.graph.signing import SigningKeys
from local.graph.vault import Vault

ROLES = frozenset(
    {
        "AiEnterpriseInteraction.Read.All",
        "Chat.Read.All",
        "Chat.ReadBasic.WhereInstalled",
        "ChatMember.Read.All",
        "GroupMember.Read.All",
        "Organization.Read.All",
        "User.Read.All",
    }
)
CERTIFICATE_NAME = "graph-notifications"


@dataclass(frozen=True)
class Identities:
    """Who is who in the tenant. Ids come from the seed; secrets do not, and last as long as the process."""

    tenant_id: str
    foreign_tenant_id: str
    application: Principal
    managed_identity: Principal
    client_secret: str
    client_state: str
    identity_header: str


def identities(seed: int, *, roles: frozenset[str] = ROLES) -> Identities:
    """Return the tenant of a seed: an app registration that trusts a managed identity as its credential."""
    rng: random.Random = stream(seed, "identities")
    client_secret = secrets.token_urlsafe(30)
    tenant_id, foreign_tenant_id, identity_oid = guid(rng), guid(rng), guid(rng)
    return Identities(
        tenant_id=tenant_id,
        foreign_tenant_id=foreign_tenant_id,
        application=Principal(guid(rng), guid(rng), roles, client_secret, frozenset({identity_oid})),
        managed_identity=Principal(guid(rng), identity_oid),
        client_secret=client_secret,
        client_state=secrets.token_urlsafe(24),
        identity_header=secrets.token_hex(16),
    )


@dataclass(frozen=True)
class Cloud:
    """Everything that lives as long as a simulator, without its listeners."""

    who: Identities
    keys: SigningKeys
    entra: Entra
    vault: Vault
    outages: Outages
    content: TenantContent
    forgers: TenantContent
    folder: Path


def build(base_url: str, folder: Path, *, seed: int, roles: frozenset[str], bits: int) -> Cloud:
    """Return a cloud at `base_url`, with one version of the encryption certificate in its vault."""
    who = identities(seed, roles=roles)
    keys = SigningKeys()
    entra = Entra(base_url, who.tenant_id, keys, graph_endpoint=base_url, other_tenants={who.foreign_tenant_id})
    entra.register(who.application)
    entra.register(who.managed_identity)
    vault = Vault(bits=bits)
    vault.rotate(CERTIFICATE_NAME)
    return Cloud(
        who=who,
        keys=keys,
        entra=entra,
        vault=vault,
        outages=Outages(),
        content=TenantContent(seed, who.tenant_id),
        forgers=TenantContent(seed + 1_000_003, who.tenant_id),
        folder=folder,
    )
