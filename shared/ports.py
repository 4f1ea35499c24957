"""What the app asks of the world. Adapters answer; tests answer with parts of their own.

What can't be reached raises an ``Unavailable``: no port returns "nothing" for "I don't know".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol, TypeAlias

from shared.core.errors import CaptureError
from shared.core.instants import parse_instant
from shared.core.metrics import Metric
from shared.core.subscription import ActualSubscription

if TYPE_CHECKING:
    # Types alone: the webhooks share this module and start without cryptography.
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    from shared.core.decryption import DecryptionKey

# The present instant, in UTC.
Clock: TypeAlias = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob as read. ``etag`` guards a later delete or replace against somebody else's write in between."""

    content: bytes
    metadata: Mapping[str, str]
    etag: str
    last_modified: datetime

    @property
    def received_at(self) -> datetime:
        """The time of receipt that was noted with a post; where there is none, the time at which it was written."""
        return parse_instant(self.metadata.get("receivedat")) or self.last_modified

    @property
    def traceparent(self) -> str | None:
        """The trace in which a post was received, where somebody traced it."""
        return self.metadata.get("traceparent")


class Container(Protocol):
    """One blob container. Every method raises StorageUnavailable when storage does not answer."""

    def create(self, name: str, content: bytes, metadata: Mapping[str, str]) -> bool:
        """Write a blob that is not there yet. False where one of that name exists: nothing is ever overwritten."""

    def metadata(self, name: str) -> Mapping[str, str] | None:
        """A blob's metadata, None where there is no blob. The cheap look."""

    def read(self, name: str) -> Blob | None:
        """A whole blob, None where there is none."""

    def replace(self, name: str, content: bytes, etag: str, metadata: Mapping[str, str] | None = None) -> bool:
        """Write over the version that was read. False where it has changed or gone meanwhile.

        Its metadata is kept where none is given.
        """

    def delete(self, name: str, etag: str | None = None) -> bool:
        """Delete a blob, only that version where ``etag`` is given. False where it has changed or gone."""

    def names(self, prefix: str = "") -> Iterator[str]:
        """Names in alphabetical order, fetched page by page as they are asked for."""

    def described(self, prefix: str) -> Iterator[tuple[str, Mapping[str, str]]]:
        """Names with metadata, in alphabetical order. Ten times the price of ``names``, a hundredth of a read each."""

    def ages(self, prefix: str) -> Iterator[datetime]:
        """When each blob under the prefix was last written. Ten times the price of ``names``."""

    def folders(self) -> Iterator[str]:
        """First parts of the names, without listing what is in them."""


class InboxWriter(Protocol):
    """The webhooks' only way to storage: bounded in time, and never in another post's way."""

    async def keep(self, name: str, body: bytes, received_at: datetime) -> None:
        """Make a post durable, and note the trace that it came in.

        Returns after storage said so; raises StorageUnavailable within 1.5 s otherwise.
        """

    async def check(self) -> None:
        """Raise StorageUnavailable within 1.5 s when posts could not be kept now."""


class Doorbell(Protocol):
    """A queue that tells a worker what waits: a post in the inbox, or an export window."""

    def ring(self, name: str, after: timedelta = timedelta(0)) -> None:
        """Put one message on the queue, which nobody sees before ``after``. Raises StorageUnavailable."""

    def ring_all(self, names: Iterable[str]) -> None:
        """Put many on the queue, several at a time. Raises StorageUnavailable; then some of them may be there."""

    def depth(self) -> int:
        """About how many messages are on the queue, hidden ones included. Raises StorageUnavailable."""


class SigningKeys(Protocol):
    """The keys of Entra ID that sign validation tokens."""

    def find(self, issuer: str, kid: str, received_at: datetime) -> "RSAPublicKey | None":
        """The key by which ``issuer`` signs as ``kid``.

        None only where that is certain for a post received then. Raises SigningKeysUnavailable while it is not.
        """


class KeyRing(Protocol):
    """The decryption keys in Key Vault, by certificate version."""

    def key(self, certificate_id: str) -> "DecryptionKey":
        """The key for an encryptionCertificateId.

        Raises UnknownCertificate or CertificateDisabled for good, KeyVaultUnavailable for now.
        """

    def current(self) -> "CertificateVersion":
        """The newest version. Raises UnknownCertificate or CertificateDisabled, or KeyVaultUnavailable."""


@dataclass(frozen=True, slots=True)
class CertificateVersion:
    """A version of the encryption certificate; ``der`` is its public part, which Graph encrypts with."""

    version: str
    thumbprint: str
    expires_at: datetime
    der: bytes = b""


@dataclass(frozen=True, slots=True)
class GraphCall:
    """One change of a subscription. ``path`` is relative to the API version; ``what`` tells people what it is."""

    method: str
    path: str
    what: str
    body: Mapping[str, object] | None = None


class Graph(Protocol):
    """Microsoft Graph's subscriptions, called as the app itself. Every method may raise GraphUnavailable."""

    def subscriptions(self) -> list[ActualSubscription]:
        """All subscriptions of our app registration. Raises GraphRefused where Graph forbids the list."""

    def subscription(self, subscription_id: str) -> ActualSubscription | None:
        """One of them, None where it is gone."""

    def send(self, calls: Sequence[GraphCall]) -> list[ActualSubscription | CaptureError | None]:
        """Do several things, together where there are many; for each the subscription, nothing, or what went wrong.

        An error of one says nothing of the others. GraphUnavailable for one may mean that it was done all the same.
        """

    def roles(self) -> frozenset[str] | None:
        """The application permissions in our token, which may lag a day behind what was granted.

        None where the token can't be read: to its bearer it is opaque, says Microsoft, and Graph decides anyhow.
        """

    def licensed_users(self) -> Iterator[str]:
        """Ids of the users with a Copilot plan, in lower case, fetched page by page.

        Where Graph does not take the query for the plan, those of the products that hold it.
        """

    def members(self, group_id: str) -> Iterator[str]:
        """Ids of a group's users, nested groups included, in lower case, fetched page by page."""

    def resource(self, path: str) -> bytes:
        """What a notification without resource data is about: ``chats('…')``, relative to the API version.

        Raises GraphNotFound or GraphRefused where Graph does not give it.
        """


@dataclass(frozen=True, slots=True)
class ExportPage:
    """A page of interactions as parsed, the link to the next one, and what time it is by Graph's own clock."""

    items: Sequence[object]
    next_link: str | None
    graph_now: datetime


class Exports(Protocol):
    """Graph's export of interactions. One request a call, none of them repeated here.

    Raises GraphUnavailable for now, GraphNotFound and GraphRefused for a user or a request that Graph will not serve.
    """

    def first_page(self, user_id: str | None, query: str | None) -> ExportPage:
        """The newest of a user, of the tenant where there is none; ``query`` is the ``$filter``, None for no filter."""

    def next_page(self, link: str) -> ExportPage:
        """Where an ``@odata.nextLink`` leads, verbatim. Raises GraphUnavailable for one that leads elsewhere."""


class Pace(Protocol):
    """The requests that the tenant has left, shared by all instances."""

    def wait(self) -> None:
        """Return when the next request may be sent. Raises StorageUnavailable, or GraphUnavailable for a long hold."""

    def hold(self, wait: timedelta) -> None:
        """Nobody asks for so long: Graph said so. Raises StorageUnavailable."""


class Telemetry(Protocol):
    """Metrics and spans. It never raises: what can't be told must not stop what is done."""

    def measure(self, metric: Metric, value: float, **attributes: str) -> None:
        """Count, spread or set, as the metric's row says; ``attributes`` are those of the row and no others."""

    def span(self, name: str, *, continues: str | None = None, **attributes: str | int) -> AbstractContextManager[None]:
        """A span around what is done in it, below the current one. Attributes are ids and counts, never content.

        With ``continues``, the traceparent of an earlier span, it is below that one and linked to the current one. One
        with a ``dependency`` is a call of that dependency.
        """

    def note(self, **attributes: str | int) -> None:
        """Attributes of the current span that are known only now, such as the id that an answer gives a request."""

    def traceparent(self) -> str | None:
        """The current span, to be continued elsewhere; None where there is none. https://www.w3.org/TR/trace-context/"""

    def flush(self) -> None:
        """Tell now what would be told within the minute. Returns within seconds, told or not."""


class Silence:
    """Telemetry that nobody asked for."""

    def measure(self, metric: Metric, value: float, **attributes: str) -> None:
        """See the port."""

    def span(
        self,
        name: str,  # noqa: ARG002 - see the port
        *,
        continues: str | None = None,  # noqa: ARG002 - as above
        **attributes: str | int,  # noqa: ARG002 - as above
    ) -> AbstractContextManager[None]:
        """See the port."""
        return nullcontext()

    def note(self, **attributes: str | int) -> None:
        """See the port."""

    def traceparent(self) -> str | None:
        """See the port."""
        return None

    def flush(self) -> None:
        """See the port."""


SILENCE = Silence()
