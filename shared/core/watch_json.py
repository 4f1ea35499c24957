"""The watch over subscriptions <-> the blob that keeps it, for people to read as well."""

import json
from collections.abc import Mapping

from shared.core.instants import expect_instant, format_known, parse_instant
from shared.core.subscription_watch import Problem, Tracked, Watch

VERSION = 1


def to_json(watch: Watch) -> bytes:
    """The state blob's content, UTF-8 JSON."""
    return json.dumps(
        {
            "version": VERSION,
            "reconciledAt": format_known(watch.reconciled_at),
            "notBefore": format_known(watch.not_before),
            "awaited": {key: format_known(since) for key, since in watch.awaited.items()},
            "notifiedSince": {key: format_known(since) for key, since in watch.notified.items()},
            "claimedBy": watch.claimed_by,
            "claimedUntil": format_known(watch.claimed_until),
            "subscriptions": {
                key: {
                    "id": each.id,
                    "resource": each.resource,
                    "expirationDateTime": format_known(each.expires_at),
                    "encryptionCertificateId": each.certificate_id,
                    "lastLive": format_known(each.last_live),
                    "challengedAt": format_known(each.challenged_at),
                    "refusedSince": format_known(each.refused_since),
                    "hintedAt": format_known(each.hinted_at),
                    "missedAt": format_known(each.missed_at),
                    "renewedAt": format_known(each.renewed_at),
                    "authorisedAt": format_known(each.authorised_at),
                    "grantedUntil": format_known(each.granted_until),
                    "unseenSince": format_known(each.unseen_since),
                    "seenAgainAt": format_known(each.seen_again_at),
                    "predecessor": each.predecessor,
                    "clientStateTag": each.client_state_tag,
                    "gone": each.gone,
                }
                for key, each in watch.tracked.items()
            },
            "problems": {
                key: {
                    "sentence": each.sentence,
                    "since": format_known(each.since),
                    "retryAt": format_known(each.retry_at),
                }
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
                key: Problem(str(each["sentence"]), expect_instant(each["since"]), expect_instant(each["retryAt"]))
                for key, each in document["problems"].items()
            },
            reconciled_at=parse_instant(document["reconciledAt"]),
            claimed_by=document["claimedBy"],
            claimed_until=parse_instant(document["claimedUntil"]),
            not_before=parse_instant(document["notBefore"]),
            awaited={key: expect_instant(since) for key, since in document["awaited"].items()},
            notified={key: expect_instant(since) for key, since in document.get("notifiedSince", {}).items()},
        )
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        raise ValueError("the blob with the subscriptions' state is none of ours") from None


def _tracked(fields: Mapping[str, object]) -> Tracked:
    return Tracked(
        id=str(fields["id"]),
        resource=str(fields["resource"]),
        expires_at=expect_instant(fields["expirationDateTime"]),
        certificate_id=_text(fields["encryptionCertificateId"]),
        last_live=expect_instant(fields["lastLive"]),
        challenged_at=parse_instant(fields["challengedAt"]),
        refused_since=parse_instant(fields["refusedSince"]),
        hinted_at=parse_instant(fields["hintedAt"]),
        missed_at=parse_instant(fields["missedAt"]),
        renewed_at=parse_instant(fields["renewedAt"]),
        authorised_at=parse_instant(fields["authorisedAt"]),
        granted_until=parse_instant(fields.get("grantedUntil")),
        unseen_since=parse_instant(fields["unseenSince"]),
        seen_again_at=parse_instant(fields["seenAgainAt"]),
        predecessor=_text(fields["predecessor"]),
        client_state_tag=_text(fields.get("clientStateTag")),
        gone=fields.get("gone") is True,
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
