"""The watch over subscriptions <-> the blob that keeps it, for people to read as well."""

import json
from collections.abc import Mapping
from datetime import datetime

from shared.core.instants import format_instant, parse_instant
from shared.core.subscription_watch import Problem, Tracked, Watch

VERSION = 1


def to_json(watch: Watch) -> bytes:
    """The state blob's content, UTF-8 JSON."""
    return json.dumps(
        {
            "version": VERSION,
            "reconciledAt": _text(watch.reconciled_at),
            "notBefore": _text(watch.not_before),
            "awaited": {key: _text(since) for key, since in watch.awaited.items()},
            "notifiedSince": {key: _text(since) for key, since in watch.notified.items()},
            "claimedBy": watch.claimed_by,
            "claimedUntil": _text(watch.claimed_until),
            "subscriptions": {
                key: {
                    "id": each.id,
                    "resource": each.resource,
                    "expirationDateTime": _text(each.expires_at),
                    "encryptionCertificateId": each.certificate_id,
                    "lastLive": _text(each.last_live),
                    "challengedAt": _text(each.challenged_at),
                    "refusedSince": _text(each.refused_since),
                    "hintedAt": _text(each.hinted_at),
                    "missedAt": _text(each.missed_at),
                    "renewedAt": _text(each.renewed_at),
                    "authorisedAt": _text(each.authorised_at),
                    "unseenSince": _text(each.unseen_since),
                    "seenAgainAt": _text(each.seen_again_at),
                    "predecessor": each.predecessor,
                }
                for key, each in watch.tracked.items()
            },
            "problems": {
                key: {"sentence": each.sentence, "since": _text(each.since), "retryAt": _text(each.retry_at)}
                for key, each in watch.problems.items()
            },
        },
    ).encode()


def from_json(content: bytes) -> Watch:
    """The watch as saved. Raises ValueError for a blob that is none: then somebody else wrote it."""
    try:
        document = json.loads(content)
        return Watch(
            tracked={key: _tracked(each) for key, each in document["subscriptions"].items()},
            problems={
                key: Problem(str(each["sentence"]), _instant(each["since"]), _instant(each["retryAt"]))
                for key, each in document["problems"].items()
            },
            reconciled_at=parse_instant(document["reconciledAt"]),
            claimed_by=document["claimedBy"],
            claimed_until=parse_instant(document["claimedUntil"]),
            not_before=parse_instant(document["notBefore"]),
            awaited={key: _instant(since) for key, since in document["awaited"].items()},
            notified={key: _instant(since) for key, since in document.get("notifiedSince", {}).items()},
        )
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        raise ValueError("the blob with the subscriptions' state is none of ours") from None


def _tracked(fields: Mapping[str, object]) -> Tracked:
    certificate_id = fields["encryptionCertificateId"]
    return Tracked(
        id=str(fields["id"]),
        resource=str(fields["resource"]),
        expires_at=_instant(fields["expirationDateTime"]),
        certificate_id=None if certificate_id is None else str(certificate_id),
        last_live=_instant(fields["lastLive"]),
        challenged_at=parse_instant(fields["challengedAt"]),
        refused_since=parse_instant(fields["refusedSince"]),
        hinted_at=parse_instant(fields["hintedAt"]),
        missed_at=parse_instant(fields["missedAt"]),
        renewed_at=parse_instant(fields["renewedAt"]),
        authorised_at=parse_instant(fields["authorisedAt"]),
        unseen_since=parse_instant(fields["unseenSince"]),
        seen_again_at=parse_instant(fields["seenAgainAt"]),
        predecessor=None if fields["predecessor"] is None else str(fields["predecessor"]),
    )


def _instant(text: object) -> datetime:
    instant = parse_instant(text)
    if instant is None:
        raise ValueError
    return instant


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else format_instant(instant)
