"""Every error of ours, drawn first.

::

    CaptureError
    ├── SettingsError                 the operator mends settings; nothing works until then
    ├── RequestRefused                the caller is wrong; answered with ``status``, nothing is stored
    │   ├── MalformedRequest   400
    │   ├── NotOurs            403
    │   ├── BodyTooLarge       413
    │   └── CompressedBody     415
    ├── Unavailable            503    nobody need act yet; raised out of the function, the platform retries
    │   ├── StorageUnavailable
    │   ├── KeyVaultUnavailable
    │   ├── SigningKeysUnavailable
    │   ├── Overloaded                a post is not looked at in time; Graph sends it again
    │   ├── GraphUnavailable          ``retry_after`` says how long to leave Graph alone
    │   │   └── PageTokensEnded       the window is too large for one walk; it goes on in smaller steps
    │   └── Busy                      another instance is at it
    ├── GraphFault                    Graph said no; the operator reads why in status, retried slowly
    │   ├── GraphNotFound      404
    │   ├── GraphConflict      409    ``existing_id`` is the subscription in the way
    │   └── GraphRefused       400, 403 …
    └── CannotArchive                 for good: the item becomes a dead letter under ``reason``, an operator is told
        ├── MalformedNotification     malformed-notification
        ├── ClientStateMismatch       client-state-mismatch
        ├── NotGenuine                not-genuine
        ├── NoResourceData            no-resource-data
        ├── UnknownCertificate        unknown-certificate
        ├── CertificateDisabled       certificate-disabled
        ├── UnsignedContent           unsigned-content
        ├── DecryptionFailed          decryption-failed
        ├── MalformedContent          malformed-content
        ├── IdentityMismatch          identity-mismatch
        └── UnknownLifecycleEvent     unknown-lifecycle-event

What is not in the tree is a bug or an outage that nobody foresaw: it leaves the function, so that the platform retries
and the post stays in the inbox. No message holds content, names of people, clientState, tokens or keys.
"""

from datetime import timedelta
from typing import ClassVar


class CaptureError(Exception):
    """Any error of this app. The message tells what happened, to which id, and what to do."""


class SettingsError(CaptureError):
    """Settings are missing or malformed. The message names every one of them, never their values."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("the app refuses to work until these settings are mended: " + "; ".join(problems))


class RequestRefused(CaptureError):
    """A post that is not taken. ``status`` is the HTTP answer; its body stays empty so that nobody learns why."""

    status: ClassVar[int] = 400


class MalformedRequest(RequestRefused):
    """Not what Graph posts: not UTF-8 JSON, too deep, a property named twice, or no ``value`` list."""


class NotOurs(RequestRefused):
    """No item carries our clientState."""

    status = 403


class BodyTooLarge(RequestRefused):
    """More bytes or items than one post may have, or more of what makes it dear to look at."""

    status = 413


class CompressedBody(RequestRefused):
    """A content encoding; Graph sends none, and unpacking one is how small posts become large."""

    status = 415


class Unavailable(CaptureError):
    """Something that the work needs is out of reach for now. Retrying is right; nothing has been given up."""

    status: ClassVar[int] = 503


class StorageUnavailable(Unavailable):
    """Blob or queue storage did not answer, or refused us."""


class Overloaded(Unavailable):
    """More heavy posts at once than are looked at in time."""


class KeyVaultUnavailable(Unavailable):
    """Key Vault did not answer, or refused us."""


class SigningKeysUnavailable(Unavailable):
    """The keys that sign validation tokens can't be had now, or it is not yet certain that a key is unknown."""


class GraphUnavailable(Unavailable):
    """Microsoft Graph did not answer, is throttling us, or does not take our token for now.

    ``retry_after`` is how long Graph asked to be left alone; nothing, where it did not say. ``throttled``: it is not
    this request that was too much, but all of ours together.
    """

    def __init__(self, message: str, retry_after: timedelta = timedelta(0), *, throttled: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.throttled = throttled


class PageTokensEnded(GraphUnavailable):
    """Page tokens of an export end before the pages do."""


class Busy(Unavailable):
    """Another instance does this now, or has done it since we looked. Whoever is second stops."""


class GraphFault(CaptureError):
    """Graph refused a request, and would refuse the same again."""


class GraphNotFound(GraphFault):
    """What was asked about is not there any more."""


class GraphConflict(GraphFault):
    """There is a subscription for this resource already."""

    def __init__(self, message: str, existing_id: str | None) -> None:
        super().__init__(message)
        self.existing_id = existing_id


class GraphRefused(GraphFault):
    """Graph will not do this as things stand. ``status`` and ``code`` are Graph's own."""

    def __init__(self, message: str, *, code: str, status: int) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class CannotArchive(CaptureError):
    """An item that will never be archived as things stand. ``reason`` names its folder among the dead letters."""

    reason: ClassVar[str]


class MalformedNotification(CannotArchive):
    """The item is not a change notification."""

    reason = "malformed-notification"


class ClientStateMismatch(CannotArchive):
    """The item travelled with one of ours but does not carry our clientState itself."""

    reason = "client-state-mismatch"


class NotGenuine(CannotArchive):
    """The post's validation tokens do not prove that Graph sent this item for our app and tenant."""

    reason = "not-genuine"


class NoResourceData(CannotArchive):
    """A notification without resource data: it says that something changed, and not what."""

    reason = "no-resource-data"


class UnknownCertificate(CannotArchive):
    """Key Vault holds no certificate version of the item's encryptionCertificateId."""

    reason = "unknown-certificate"


class CertificateDisabled(CannotArchive):
    """Key Vault holds the certificate version but it is disabled. Enable it and replay."""

    reason = "certificate-disabled"


class UnsignedContent(CannotArchive):
    """Encrypted content without dataSignature; ALLOW_UNSIGNED_CONTENT would accept it."""

    reason = "unsigned-content"


class DecryptionFailed(CannotArchive):
    """The content does not open. One error for every way to fail, so that nobody can probe which."""

    reason = "decryption-failed"


class MalformedContent(CannotArchive):
    """The decrypted content is not a JSON object."""

    reason = "malformed-content"


class IdentityMismatch(CannotArchive):
    """The decrypted resource is not the one that the notification names."""

    reason = "identity-mismatch"


class UnknownLifecycleEvent(CannotArchive):
    """A lifecycle notification of an event that this app does not know."""

    reason = "unknown-lifecycle-event"
