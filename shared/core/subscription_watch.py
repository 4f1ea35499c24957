"""What must be remembered about subscriptions: until when each was seen alive, and so which hours have a gap.

Graph replays nothing of the time in which a subscription was gone or its deliveries paused. Whatever we can't vouch for
is a gap, and a gap is asked to be exported.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.core.gap import Gap
from shared.core.notification import LATEST, MISSED, REAUTHORIZE, REPEATED_FOR, LifecycleNotification
from shared.core.subscription_rules import EVERYONE, whose_interactions

# Where it is kept in the container ``state``.
WATCH = "subscriptions.json"
# Graph asks for a new authorisation well before it pauses deliveries
# (https://learn.microsoft.com/graph/change-notifications-lifecycle-events#responding-to-reauthorizationrequired-notifications).
# Asked for and given within this time, it leaves no gap.
CHALLENGE_GRACE = timedelta(minutes=10)
# A lifecycle notification is repeated, too. Whoever was away for longer than this may have missed one; and what comes
# while it is repeated after an absence (several runs missed) may have been said in it for the first time.
AWAY = timedelta(hours=3)
ABSENCE = timedelta(minutes=35)
# A storm of hints about one subscription is answered by one look.
ONE_LOOK = timedelta(minutes=1)
# The first try after Graph refused something, and the longest time between two tries. At first the next run tries:
# a handshake that came in the middle of a cold start, say, is well five minutes later.
FIRST_RETRY = timedelta(minutes=4)
# Hours without a subscription are only as many as it takes Graph to say yes again: with the run that comes five minutes
# later it is an hour.
LONGEST_RETRY = timedelta(minutes=55)


@dataclass(frozen=True, slots=True)
class Tracked:
    """One subscription of ours. ``last_live`` is when Graph last told us that it lives.

    ``challenged_at``: Graph asked for a new authorisation and has not got it. ``refused_since``: Graph has been
    refusing us, so that deliveries may be paused. ``hinted_at`` and ``missed_at``: when a lifecycle notification last
    made us look, and last told of missed ones. ``renewed_at``: when a PATCH last authorised it anew; ``authorised_at``:
    the same, or when it was made; ``granted_until``: the expiry that Graph gave it then. ``unseen_since`` and
    ``seen_again_at``: the last time that nobody looked for a while. ``predecessor`` is the id of the one before it, of
    which news may still come. ``client_state_tag`` tells whether it carries the current clientState. ``gone``: Graph
    does not list it any more, and nothing has taken its place yet.
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
    authorised_at: datetime | None = None
    granted_until: datetime | None = None
    unseen_since: datetime | None = None
    seen_again_at: datetime | None = None
    predecessor: str | None = None
    client_state_tag: str | None = None
    gone: bool = False

    def is_live(self, now: datetime) -> bool:
        """Whether, by what Graph told last, it lives now."""
        return self.expires_at > now and not self.gone

    @property
    def doubted(self) -> bool:
        """Whether its deliveries may be paused until it is renewed."""
        return self.challenged_at is not None or self.refused_since is not None

    def uncertain_since(self, now: datetime) -> datetime | None:
        """Since when its deliveries may have been paused, None where they have not. A prompt answer leaves no gap."""
        late = self.challenged_at is not None and now - self.challenged_at > CHALLENGE_GRACE
        since = [self.refused_since, self.challenged_at if late else None]
        return min((each for each in since if each is not None), default=None)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a wanted subscription is not as it should be, for the operator, and when it is tried again."""

    sentence: str
    since: datetime
    retry_at: datetime


@dataclass(frozen=True, slots=True)
class Watch:
    """All that is remembered, by resource key. Whoever holds the claim acts; it ends by itself.

    ``awaited``: since when a resource has been wanted that never had a subscription. ``notified``: since when one that
    is wanted has had one.
    """

    tracked: Mapping[str, Tracked] = field(default_factory=dict)
    problems: Mapping[str, Problem] = field(default_factory=dict)
    reconciled_at: datetime | None = None
    claimed_by: str | None = None
    claimed_until: datetime | None = None
    not_before: datetime | None = None
    awaited: Mapping[str, datetime] = field(default_factory=dict)
    notified: Mapping[str, datetime] = field(default_factory=dict)

    def notified_since(self, user_id: str | None) -> datetime | None:
        """Since when notifications should have brought a user's interactions, the tenant's where there is none.

        Of a filtered resource nobody can say which they should have brought, so it does not count.
        """
        whose = {EVERYONE} if user_id is None else {EVERYONE, user_id}
        since = (since for key, since in self.notified.items() if "?" not in key and whose_interactions(key) in whose)
        return min(since, default=None)

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

    def with_problem(self, key: str, sentence: str, now: datetime, *, asked_graph: bool = True) -> "Watch":
        """As this, with a problem. What Graph refused is tried later each time; what did not reach Graph, at once."""
        before = self.problems.get(key)
        since = before.since if before else now
        wait = min(max(FIRST_RETRY, (now - since) / 2), LONGEST_RETRY) if asked_graph else timedelta(0)
        return replace(self, problems={**self.problems, key: Problem(sentence, since, now + wait)})

    def hinted(self, hint: LifecycleNotification, now: datetime) -> "Heard":
        """As this, having heard of a subscription. Of one that is none of ours nothing is believed."""
        about = hint.subscription_id
        found = next(((key, each) for key, each in self.tracked.items() if about in (each.id, each.predecessor)), None)
        if found is None or (found[1].id != about and hint.event != MISSED):
            # Of a predecessor only what it missed is news: everything else ended with it.
            return Heard(self)
        key, tracked = found
        look = not _lately(tracked.hinted_at, now)
        gap = None
        if hint.event == REAUTHORIZE and not _answered(tracked, hint.received_at or now, now):
            # Whatever was said a moment ago, this is news: what was looked at then was not renewed for it.
            look = look or tracked.challenged_at is None
            tracked = replace(
                tracked, challenged_at=tracked.challenged_at or _said_at(tracked, hint.received_at or now)
            )
        if hint.event == MISSED and not _lately(tracked.missed_at, now):
            tracked = replace(tracked, missed_at=now)
            said_at = hint.received_at or now
            gap = Gap(tracked.resource, said_at - LATEST, now, "Graph missed notifications")
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
        gap = self._first(key, live, now) if before is None else _gap(before, live, now, renewed=renewed)
        if before is not None and before.id == live.id and not renewed:
            # Seen, and not authorised anew: doubts stay until it is.
            live = replace(
                live,
                challenged_at=before.challenged_at,
                refused_since=before.refused_since,
                renewed_at=before.renewed_at,
                authorised_at=before.authorised_at,
                granted_until=before.granted_until,
            )
        if before is not None:
            if renewed and before.id == live.id:
                live = replace(live, renewed_at=now)
            unseen = now - before.last_live > ABSENCE
            live = replace(
                live,
                hinted_at=before.hinted_at,
                missed_at=before.missed_at,
                unseen_since=before.last_live if unseen else before.unseen_since,
                seen_again_at=now if unseen else before.seen_again_at,
                predecessor=before.predecessor if before.id == live.id else before.id,
            )
        awaited = {name: since for name, since in self.awaited.items() if name != key}
        notified = {key: now, **self.notified}
        return replace(self, tracked={**self.tracked, key: live}, awaited=awaited, notified=notified), gap

    def missing(self, keys: Iterable[str]) -> "Watch":
        """As this, with Graph not listing these any more. When they ended, the gap of their successors tells."""
        gone = {key: replace(self.tracked[key], gone=True) for key in keys if key in self.tracked}
        return replace(self, tracked={**self.tracked, **gone})

    def awaiting(self, keys: Iterable[str], now: datetime) -> "Watch":
        """As this, with resources wanted that have no subscription yet and could not be given one."""
        missing = {key: self.awaited.get(key, now) for key in keys if key not in self.tracked}
        return replace(self, awaited={**self.awaited, **missing})

    def away(self, now: datetime) -> "Watch":
        """As this, where nobody has looked for so long that a challenge may have come and gone unheard."""
        since = self.reconciled_at
        if since is None or now - since <= AWAY:
            return self
        tracked = {
            key: replace(each, challenged_at=min(each.challenged_at or since, since))
            for key, each in self.tracked.items()
        }
        return replace(self, tracked=tracked)

    def unwanted(self, keys: Collection[str], listed: Collection[str], now: datetime) -> list[Gap]:
        """Gaps of what is wanted no more, and had ended or paused before: no successor will tell of them."""
        gaps = []
        for key, each in self.tracked.items():
            ended_since = None if each.id in listed else each.last_live
            since = [instant for instant in (ended_since, each.uncertain_since(now)) if instant is not None]
            if key not in keys and since:
                gaps.append(Gap(each.resource, min(since), now, "it had ended or paused before it was wanted no more"))
        return gaps

    def without_problem(self, key: str) -> "Watch":
        """As this, with a problem solved."""
        return replace(self, problems={name: each for name, each in self.problems.items() if name != key})

    def only(self, keys: Collection[str]) -> "Watch":
        """As this, with what is wanted no more forgotten."""
        return replace(
            self,
            tracked={key: each for key, each in self.tracked.items() if key in keys},
            problems={key: each for key, each in self.problems.items() if key in keys},
            awaited={key: since for key, since in self.awaited.items() if key in keys},
            notified={key: since for key, since in self.notified.items() if key in keys},
        )

    def _first(self, key: str, live: Tracked, now: datetime) -> Gap | None:
        """The gap before the first subscription to a resource: since it was wanted and could not be made."""
        since = self.awaited.get(key)
        return None if since is None else Gap(live.resource, since, now, "it could not be made before")


@dataclass(frozen=True, slots=True)
class Heard:
    """What a hint comes to: what is remembered, a gap that it tells of, and whether it is worth a look at Graph."""

    watch: Watch
    gap: Gap | None = None
    look: bool = False


def _lately(then: datetime | None, now: datetime) -> bool:
    return then is not None and now - then < ONE_LOOK


def _answered(tracked: Tracked, received_at: datetime, now: datetime) -> bool:
    # Graph says the same thing more than once; what was renewed after it was said, or a moment ago, has its answer.
    renewed_since = tracked.renewed_at is not None and tracked.renewed_at > received_at
    return renewed_since or _lately(tracked.renewed_at, now)


def _said_at(tracked: Tracked, received_at: datetime) -> datetime:
    # What comes soon after an absence may be said for the second time: Graph repeats it for hours.
    seen_again_at, unseen_since, renewed_at = tracked.seen_again_at, tracked.unseen_since, tracked.renewed_at
    if seen_again_at is None or unseen_since is None or received_at - seen_again_at > REPEATED_FOR:
        return received_at
    settled_since = renewed_at is not None and renewed_at >= seen_again_at
    return received_at if settled_since else min(received_at, unseen_since)


def _gap(before: Tracked, live: Tracked, now: datetime, *, renewed: bool) -> Gap | None:
    uncertain_since = before.uncertain_since(now)
    if before.id != live.id:
        # Its predecessor ended some time after it was last seen. Which second that was, nobody tells.
        begin = min(before.last_live, uncertain_since or now)
        return Gap(live.resource, begin, now, "the subscription was gone")
    if not renewed or uncertain_since is None:
        return None
    refused = before.refused_since is not None
    return Gap(
        live.resource, uncertain_since, now, "Graph refused the app" if refused else "a new authorisation came late"
    )
