"""One item comes to rest: who vouches for it, what is in it, where it belongs, and is it there already."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.core.archive_path import ArchivePath, archive_path, conflict_path, encode_part, tombstone_path
from shared.core.decryption import decrypt
from shared.core.errors import (
    ClientStateMismatch,
    IdentityMismatch,
    MalformedContent,
    NoResourceData,
    NotGenuine,
    StorageUnavailable,
)
from shared.core.instants import format_instant
from shared.core.notification import ChangeNotification, parse_item
from shared.core.resources import KINDS, ResourceKind, digest, kind_of, parse_resource, user_of
from shared.core.webhook import carries
from shared.flows.genuine import Genuineness
from shared.ports import Container, KeyRing

logger = logging.getLogger(__name__)

# What a look at a blob compares. ``sha256`` beside it is that of the bytes, for whoever audits with other tools.
CANONICAL = "canonicalsha256"


class Outcome(StrEnum):
    """What became of an item that is at rest now."""

    ARCHIVED = "archived"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a post proves about its items: the tenants that its tokens vouch for, or why they prove nothing."""

    received_at: datetime
    tenants: frozenset[str] = frozenset()
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Archiving:
    """Archives items one by one. Every write is create-only, so doing it again changes nothing."""

    containers: Mapping[str, Container]
    state: Container
    genuineness: Genuineness
    key_ring: KeyRing
    tenant_id: str
    client_states: tuple[str, ...]
    allow_unsigned: bool

    def provenance(self, tokens: Sequence[object], received_at: datetime) -> Provenance:
        """Judge a post's tokens once for all of its items. Raises SigningKeysUnavailable."""
        try:
            return Provenance(received_at, tenants=self.genuineness.tenants(tokens, received_at))
        except NotGenuine as error:
            # Kept, not raised: each item of the post becomes a dead letter of its own with this reason.
            return Provenance(received_at, refused=str(error))

    def check_client_state(self, item: object) -> None:
        """Raise ClientStateMismatch for an item that only travelled with one of ours."""
        if not carries(item, self.client_states):
            raise ClientStateMismatch("the item does not carry our clientState; another item of its post does")

    def archive(self, item: object, provenance: Provenance) -> Outcome:
        """Put one item to rest. Raises CannotArchive for good, or Unavailable for now."""
        notification = parse_item(item)
        tenant_id = self._tenant(notification, provenance)
        kind = kind_of(notification.resource_type, notification.resource)
        content = self._open(notification)
        resource = None if content is None else _named_resource(kind, content, notification)
        if notification.change_type == "deleted":
            return self._bury(kind, tenant_id, notification, resource, provenance.received_at)
        if content is None or resource is None:
            raise NoResourceData(
                "the notification carries no resource data; subscribe with includeResourceData to archive its content"
            )
        path = archive_path(kind, tenant_id, resource)
        metadata = _metadata(notification, tenant_id, provenance.received_at, user_of(resource))
        return self._rest(path, content, digest(resource), metadata)

    def _tenant(self, notification: ChangeNotification, provenance: Provenance) -> str:
        if provenance.refused is not None:
            raise NotGenuine(provenance.refused)
        tenant_id = (notification.tenant_id or "").lower()
        if notification.encrypted_content is not None:
            if not provenance.tenants:
                raise NotGenuine("the post carries no validation tokens; see docs/operations.md#not-genuine")
            if tenant_id not in provenance.tenants:
                raise NotGenuine("no validation token of the post is for the item's tenant")
        elif tenant_id not in ("", self.tenant_id.lower()):
            raise NotGenuine("the item is about another tenant")
        return tenant_id or self.tenant_id.lower()

    def _open(self, notification: ChangeNotification) -> bytes | None:
        encrypted = notification.encrypted_content
        if encrypted is None:
            return None
        return decrypt(encrypted, self.key_ring.key(encrypted.certificate_id), allow_unsigned=self.allow_unsigned)

    def _bury(
        self,
        kind: ResourceKind,
        tenant_id: str,
        notification: ChangeNotification,
        resource: Mapping[str, object] | None,
        received_at: datetime,
    ) -> Outcome:
        # How it came leaves no mark on the fingerprint: a repeat, or a second subscription's word for it, is the same.
        said: dict[str, object] = {
            "resource": notification.resource.strip("/"),
            "resourceData": notification.resource_data,
            "content": resource,
        }
        fingerprint = digest(said)
        tombstone = {
            "changeType": "deleted",
            "tenantId": tenant_id,
            "subscriptionId": notification.subscription_id,
            "receivedAt": format_instant(received_at),
            **said,
        }
        path = tombstone_path(kind, tenant_id, notification.resource_id, received_at, fingerprint)
        metadata = _metadata(notification, tenant_id, received_at, None)
        return self._rest(path, json.dumps(tombstone).encode(), fingerprint, metadata)

    def _rest(self, path: ArchivePath, content: bytes, canonical: str, metadata: Mapping[str, str]) -> Outcome:
        container = self.containers[path.container]
        marked = {**metadata, "sha256": hashlib.sha256(content).hexdigest(), CANONICAL: canonical}
        if container.create(path.name, content, marked):
            return Outcome.ARCHIVED
        # The name is taken: by a duplicate, by an export, by our own write whose acknowledgement was lost, or by
        # something else. Only a look tells.
        if _canonical_there(container, path) == canonical:
            return Outcome.DUPLICATE
        beside = conflict_path(path, content)
        # Told before it is kept: a crash in between repeats the telling, the other order could swallow it.
        self._tell_conflict(path, beside)
        return Outcome.CONFLICT if container.create(beside.name, content, marked) else Outcome.DUPLICATE

    def _tell_conflict(self, path: ArchivePath, beside: ArchivePath) -> None:
        note = json.dumps({"container": path.container, "name": path.name, "beside": beside.name}).encode()
        if self.state.create(f"conflicts/{hashlib.sha256(beside.name.encode()).hexdigest()}.json", note, {}):
            logger.error(
                "conflict: %s/%s holds other content than the same version received now, which is kept beside it as %s",
                path.container,
                path.name,
                beside.name,
            )


def _named_resource(kind: ResourceKind, content: bytes, notification: ChangeNotification) -> dict[str, object]:
    """The decrypted resource, which must be the one that the notification names: ciphertexts can be swapped."""
    resource = parse_resource(content)
    identifier = resource.get("id")
    unnamed = identifier is None and kind.name.lower() in KINDS
    if unnamed or identifier != notification.resource_id:
        raise IdentityMismatch("the decrypted id is not resourceData.id")
    return resource


def _canonical_there(container: Container, path: ArchivePath) -> str:
    metadata = container.metadata(path.name)
    if metadata is not None and CANONICAL in metadata:
        return metadata[CANONICAL]
    blob = container.read(path.name)
    if blob is None:
        raise StorageUnavailable(f"{path.container}/{path.name} was there and is gone; it is looked at again")
    try:
        return digest(parse_resource(blob.content))
    except MalformedContent:
        return ""  # whatever it is, it is not what we hold


def _metadata(
    notification: ChangeNotification, tenant_id: str, received_at: datetime, user_id: str | None
) -> dict[str, str]:
    metadata = {
        "source": "notification",
        "changetype": encode_part(notification.change_type),
        "subscriptionid": encode_part(notification.subscription_id.lower()),
        "tenantid": encode_part(tenant_id),
        "receivedat": format_instant(received_at),
    }
    return metadata if user_id is None else {**metadata, "userid": encode_part(user_id.lower())}
