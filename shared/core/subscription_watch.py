"""What must be remembered about subscriptions: until when each was seen alive, and so which hours have a gap.

Graph replays nothing of the time in which a subscription was gone or its deliveries paused. Whatever we can't vouch for
is a gap, and a gap is asked to be exported.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.core.instants import format_instant, parse_instant
from shared.core.notification import MISSED, REAUTHORIZE, LifecycleNotification

VERSION = 1
# Where it is kept in the container ``state``.
WATCH = "subscriptions.json"
GAPS = "gaps/"
# Graph asks for a new authorisation well before it pauses deliveries
# (https://learn.microsoft.com/graph/change-notifications-lifecycle-events#responding-to-reauthorizationrequired-notifications).
# Asked for and given within this time, it leaves no gap.
CHALLENGE_GRACE = timedelta(minutes=10)
# A storm of hints about one subscription is answered by one look.
ONE_LOOK = timedelta(minutes=1)
# Which notifications were missed, nobody says. Graph tries for four hours, and is an hour late at most.
MISSED_REACH = timedelta(hours=5)
# The first try after Graph refused something, and the longest time between two tries.
FIRST_RETRY = timedelta(minutes=15)
LONGEST_RETRY = timedelta(hours=4)


@dataclass(frozen=True, slots=True)
class Tracked:
    """One subscription of ours. ``last_live`` is when Graph last told us that it lives.

    ``challenged_at``: Graph asked for a new authorisation and has not got it. ``refused_since``: Graph has been
    refusing us, so that deliveries may be paused. ``hinted_at`` and ``missed_at``: when a lifecycle notification last
    made us look, and last told of missed ones. ``renewed_at``: when Graph last authorised it anew.
    """

    id: str
    resource: str
    expires_at: datetime
    certificate_id: str | None
    last_live: datetime
    challenged_at: datetime | None = None
    refused_since: datetime | None = None
    hinted_at: datetime | None = None
    missed_at: datetime | None = None
    renewed_at: datetime | None = None

    @property
    def doubted(self) -> bool:
        """Whether its deliveries may be paused until it is renewed."""
        return self.challenged_at is not None or self.refused_since is not None


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a wanted subscription is not as it should be, for the operator, and when it is tried again."""

    sentence: str
    since: datetime
    retry_at: datetime


@dataclass(frozen=True, slots=True)
class Gap:
    """Hours of a resource that no notification vouches for."""

    resource: str
    begin: datetime
    end: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Watch:
    """All that is remembered, by resource key. Whoever holds the claim acts; it ends by itself."""

    tracked: Mapping[str, Tracked] = field(default_factory=dict)
    problems: Mapping[str, Problem] = field(default_factory=dict)
    reconciled_at: datetime | None = None
    claimed_by: str | None = None
    claimed_until: datetime | None = None
    not_before: datetime | None = None

    def may_claim(self, now: datetime) -> bool:
        """Whether nobody is at it."""
        return self.claimed_until is None or now >= self.claimed_until

    def claimed(self, by: str, until: datetime) -> "Watch":
        """As this, in somebody's hands."""
        return replace(self, claimed_by=by, claimed_until=until)

    def released(self) -> "Watch":
        """As this, in nobody's hands."""
        return replace(self, claimed_by=None, claimed_until=None)

    def due(self, key: str, now: datetime) -> bool:
        """Whether something that Graph refused may be tried again."""
        problem = self.problems.get(key)
        return problem is None or now >= problem.retry_at

    def with_problem(self, key: str, sentence: str, now: datetime) -> "Watch":
        """As this, with a problem; each time that it comes again it is tried later."""
        before = self.problems.get(key)
        since = before.since if before else now
        wait = min(max(FIRST_RETRY, (now - since) / 2), LONGEST_RETRY)
        return replace(self, problems={**self.problems, key: Problem(sentence, since, now + wait)})

    def hinted(self, hint: LifecycleNotification, now: datetime) -> "Heard":
        """As this, having heard of a subscription. Of one that is none of ours nothing is believed."""
        found = next(((key, each) for key, each in self.tracked.items() if each.id == hint.subscription_id), None)
        if found is None:
            return Heard(self)
        key, tracked = found
        look = not _lately(tracked.hinted_at, now)
        gap = None
        # Graph says the same thing more than once; what was renewed a moment ago has its answer.
        if hint.event == REAUTHORIZE and not _lately(tracked.renewed_at, now):
            tracked = replace(tracked, challenged_at=tracked.challenged_at or now)
        if hint.event == MISSED and not _lately(tracked.missed_at, now):
            tracked = replace(tracked, missed_at=now)
            gap = Gap(tracked.resource, now - MISSED_REACH, now, "Graph missed notifications")
        if look:
            tracked = replace(tracked, hinted_at=now)
        return Heard(replace(self, tracked={**self.tracked, key: tracked}), gap=gap, look=look)

    def refused(self, keys: Iterable[str], now: datetime) -> "Watch":
        """As this, with Graph refusing what keeps these alive: since the last good run nothing is certain."""
        since = self.reconciled_at or now
        tracked = {
            key: replace(self.tracked[key], refused_since=self.tracked[key].refused_since or since)
            for key in keys
            if key in self.tracked
        }
        return replace(self, tracked={**self.tracked, **tracked})

    def seen_live(self, key: str, live: Tracked, now: datetime, *, renewed: bool) -> "tuple[Watch, Gap | None]":
        """As this, with Graph having told that a subscription lives; and the gap that it ends, if there was one."""
        before = self.tracked.get(key)
        gap = None if before is None else _gap(before, live, now, renewed=renewed)
        if before is not None and before.id == live.id and not renewed:
            # Seen, and not authorised anew: doubts stay until it is.
            live = replace(
                live,
                challenged_at=before.challenged_at,
                refused_since=before.refused_since,
                renewed_at=before.renewed_at,
            )
        if before is not None:
            if renewed and before.id == live.id:
                live = replace(live, renewed_at=now)
            live = replace(live, hinted_at=before.hinted_at, missed_at=before.missed_at)
        return replace(self, tracked={**self.tracked, key: live}), gap

    def without_problem(self, key: str) -> "Watch":
        """As this, with a problem solved."""
        return replace(self, problems={name: each for name, each in self.problems.items() if name != key})

    def only(self, keys: Collection[str]) -> "Watch":
        """As this, with what is wanted no more forgotten."""
        return replace(
            self,
            tracked={key: each for key, each in self.tracked.items() if key in keys},
            problems={key: each for key, each in self.problems.items() if key in keys},
        )


@dataclass(frozen=True, slots=True)
class Heard:
    """What a hint comes to: what is remembered, a gap that it tells of, and whether it is worth a look at Graph."""

    watch: Watch
    gap: Gap | None = None
    look: bool = False


def _lately(then: datetime | None, now: datetime) -> bool:
    return then is not None and now - then < ONE_LOOK


def _gap(before: Tracked, live: Tracked, now: datetime, *, renewed: bool) -> Gap | None:
    if before.id != live.id:
        # Its predecessor ended some time after it was last seen. Which second that was, nobody tells.
        return Gap(live.resource, min(before.last_live, before.refused_since or now), now, "the subscription was gone")
    if renewed and before.refused_since is not None:
        return Gap(live.resource, before.refused_since, now, "Graph refused the app")
    if renewed and before.challenged_at is not None and now - before.challenged_at > CHALLENGE_GRACE:
        return Gap(live.resource, before.challenged_at, now, "a new authorisation came late")
    return None


def to_json(watch: Watch) -> bytes:
    """The state blob's content, UTF-8 JSON."""
    return json.dumps(
        {
            "version": VERSION,
            "reconciledAt": _text(watch.reconciled_at),
            "notBefore": _text(watch.not_before),
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
                }
                for key, each in watch.tracked.items()
            },
            "problems": {
                key: {"sentence": each.sentence, "since": _text(each.since), "retryAt": _text(each.retry_at)}
                for key, each in watch.problems.items()
            },
        },
        indent=1,
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
        )
    except (KeyError, TypeError, AttributeError, ValueError):
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
    )


def _instant(text: object) -> datetime:
    instant = parse_instant(text)
    if instant is None:
        raise ValueError
    return instant


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else format_instant(instant)
