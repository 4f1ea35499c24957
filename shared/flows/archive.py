"""One item comes to rest: who vouches for it, what is in it, where it belongs, and is it there already."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.core.archive_path import ArchivePath, archive_path, encode_part, tombstone_paths
from shared.core.decryption import decrypt
from shared.core.errors import ClientStateMismatch, IdentityMismatch, NoResourceData, NotGenuine
from shared.core.instants import format_instant
from shared.core.notification import ChangeNotification, parse_item
from shared.core.resources import KINDS, ResourceKind, digest, kind_of, parse_resource, user_of
from shared.core.webhook import carries
from shared.flows.account import Account
from shared.flows.corroboration import note_corroborated
from shared.flows.fetch import Fetching
from shared.flows.genuine import Genuineness
from shared.flows.rest import SOURCE, Outcome, Resting
from shared.ports import KeyRing


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a post proves about its items: the tenants that its tokens vouch for, or why they prove nothing."""

    received_at: datetime
    tenants: frozenset[str] = frozenset()
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Archiving:
    """Archives items one by one. Every write is create-only, so doing it again changes nothing.

    ``fetching`` gets what a notification without resource data is about; where it is None, such a one is a dead letter.
    """

    resting: Resting
    genuineness: Genuineness
    key_ring: KeyRing
    tenant_id: str
    client_states: tuple[str, ...]
    allow_unsigned: bool
    account: Account | None = None
    fetching: Fetching | None = None

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
        if notification.change_type == "deleted":
            resource = None if content is None else _named_resource(kind, content, notification)
            return self._bury(kind, tenant_id, notification, resource, provenance.received_at)
        if content is None:
            content = self._fetched(kind, notification, provenance.received_at)
        if content is None:
            return Outcome.ASKED_FOR
        resource = _named_resource(kind, content, notification)
        path = archive_path(kind, tenant_id, resource)
        metadata = _metadata(notification, tenant_id, provenance.received_at, user_of(resource))
        return self._at_rest(kind, path, content, resource, metadata)

    def _fetched(self, kind: ResourceKind, notification: ChangeNotification, received_at: datetime) -> bytes | None:
        if self.fetching is None:
            raise NoResourceData(
                "the notification carries no resource data; subscribe with includeResourceData to archive its content"
            )
        return self.fetching.fetch(kind, notification, received_at)

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
        path, *repeats = tombstone_paths(kind, tenant_id, notification.resource_id, received_at, fingerprint)
        if any(self.resting.holds(each, fingerprint) for each in repeats):
            return Outcome.DUPLICATE
        metadata = _metadata(notification, tenant_id, received_at, None)
        return self.resting.rest(path, json.dumps(tombstone).encode(), fingerprint, metadata).outcome

    def _at_rest(
        self,
        kind: ResourceKind,
        path: ArchivePath,
        content: bytes,
        resource: Mapping[str, object],
        metadata: Mapping[str, str],
    ) -> Outcome:
        rested = self.resting.rest(path, content, digest(resource), metadata)
        if rested.source == "export":
            # The export was quicker: the notification did come after all, and nothing was missed.
            note_corroborated(self.resting.state, path.name)
        if self.account is not None:
            self.account.rested(kind, resource, rested.outcome, metadata[SOURCE])
        return rested.outcome


def _named_resource(kind: ResourceKind, content: bytes, notification: ChangeNotification) -> dict[str, object]:
    """The decrypted resource, which must be the one that the notification names: ciphertexts can be swapped."""
    resource = parse_resource(content)
    identifier = resource.get("id")
    if identifier is None and notification.change_type == "deleted":
        return resource  # what little Graph tells of something deleted need not name it again
    unnamed = identifier is None and kind.name.lower() in KINDS
    if unnamed or identifier != notification.resource_id:
        raise IdentityMismatch("the decrypted id is not resourceData.id")
    return resource


def _metadata(
    notification: ChangeNotification, tenant_id: str, received_at: datetime, user_id: str | None
) -> dict[str, str]:
    metadata = {
        SOURCE: "notification",
        "changetype": encode_part(notification.change_type),
        "subscriptionid": encode_part(notification.subscription_id.lower()),
        "tenantid": encode_part(tenant_id),
        "receivedat": format_instant(received_at),
    }
    return metadata if user_id is None else {**metadata, "userid": encode_part(user_id.lower())}
