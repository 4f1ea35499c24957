"""The worker's flows on a world in memory, with what a test wants to know about it."""

import json
import uuid
from collections import Counter
from datetime import datetime
from typing import Any

from shared.core.dead_letter import DeadLetter, from_json
from shared.core.decryption import DecryptionKey
from shared.core.instants import format_instant
from shared.core.validation_token import TokenRules
from shared.flows.archive import Archiving
from shared.flows.dead_letters import Replaying
from shared.flows.genuine import Genuineness
from shared.flows.rest import Resting
from shared.flows.store import Storing
from tests.fakes import MemoryContainer, MemoryKeyRing, MemorySigningKeys, World
from tests.graph_posts import (
    CERTIFICATE_ID,
    CLIENT,
    CLIENT_STATE,
    KID,
    PREVIOUS_CLIENT_STATE,
    TENANT,
    THUMBPRINT,
    V1_ISSUER,
    V2_ISSUER,
    rsa_key,
)

ARCHIVE = ("interactions", "chats", "resources")
NAME = "notifications/2026/01/05/09/5b0b63a4-6a0f-4b7e-9b32-8c2c7d0d4f11.json"


class Capture:
    """Containers, keys and flows. ``restart`` gives new flows on the same containers: a new process."""

    def __init__(self, *, allow_unsigned: bool = False) -> None:
        self.world = World()
        self.inbox = MemoryContainer("inbox", self.world)
        self.dead_letters = MemoryContainer("dead-letters", self.world)
        self.state = MemoryContainer("state", self.world)
        self.archive = {name: MemoryContainer(name, self.world) for name in ARCHIVE}
        key = rsa_key("entra").public_key()
        self.signing_keys = MemorySigningKeys(self.world, {(V1_ISSUER, KID): key, (V2_ISSUER, KID): key})
        self.key_ring = MemoryKeyRing(self.world, {CERTIFICATE_ID: DecryptionKey(rsa_key("vault"), THUMBPRINT)})
        self.client_states: tuple[str, ...] = (CLIENT_STATE, PREVIOUS_CLIENT_STATE)
        self.allow_unsigned = allow_unsigned
        self._kept = 0
        self.restart()

    def restart(self) -> None:
        """A new process: nothing remembered but what is stored."""
        self.archiving = Archiving(
            resting=Resting(self.archive, self.state),
            genuineness=Genuineness(self.signing_keys, TokenRules(audience=CLIENT, tenant_id=TENANT)),
            key_ring=self.key_ring,
            tenant_id=TENANT,
            client_states=self.client_states,
            allow_unsigned=self.allow_unsigned,
        )
        self.storing = Storing(inbox=self.inbox, dead_letters=self.dead_letters, archiving=self.archiving)
        self.replaying = Replaying(dead_letters=self.dead_letters, archiving=self.archiving, clock=self.world.clock)

    def keep(self, body: bytes, *, received_at: datetime | None = None, name: str | None = None) -> str:
        """A post that a webhook acknowledged."""
        self._kept += 1
        unique = uuid.uuid5(uuid.NAMESPACE_OID, str(self._kept))
        kept = name or NAME.replace(NAME[-41:-5], str(unique))
        self.inbox.create(kept, body, {"receivedat": format_instant(received_at or self.world.now)})
        return kept

    def store(self, body: bytes, *, received_at: datetime | None = None) -> None:
        """A post is kept, and the worker is told."""
        self.storing.store(self.keep(body, received_at=received_at))

    @property
    def archived(self) -> dict[str, bytes]:
        """Contents by container and name."""
        return {
            f"{container.name}/{name}": blob.content
            for container in self.archive.values()
            for name, blob in container.blobs.items()
        }

    @property
    def documents(self) -> list[dict[str, Any]]:
        """What is archived, parsed, in the order of names."""
        return [json.loads(content) for _, content in sorted(self.archived.items())]

    @property
    def letters(self) -> list[DeadLetter]:
        """What is among the dead letters."""
        return [from_json(blob.content) for _, blob in sorted(self.dead_letters.blobs.items())]

    @property
    def reasons(self) -> Counter[str]:
        """Dead letters by the folder they are in."""
        return self.dead_letters.in_folders()

    def at_rest(self) -> dict[str, dict[str, bytes]]:
        """All that storage holds, by container."""
        containers = [self.inbox, self.dead_letters, self.state, *self.archive.values()]
        return {
            container.name: {name: blob.content for name, blob in sorted(container.blobs.items())}
            for container in containers
        }
