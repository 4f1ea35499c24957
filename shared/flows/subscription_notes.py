"""What one run learns about subscriptions, until it is saved: sightings, gaps, problems, pauses."""

import logging
from dataclasses import dataclass, field, replace

from shared.core.errors import GraphFault, GraphUnavailable
from shared.core.gap import Gap
from shared.core.subscription import ActualSubscription, client_state_tag
from shared.core.subscription_rules import DesiredSubscription
from shared.core.subscription_watch import Tracked, Watch
from shared.flows.watch_claim import WatchClaim
from shared.ports import Clock

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class SubscriptionNotes:
    """The watch as this run knows it; durable by ``save`` only."""

    claim: WatchClaim
    clock: Clock
    watch: Watch
    client_state: str = field(repr=False)
    gaps: list[Gap] = field(default_factory=list)
    postponed: GraphUnavailable | None = None

    def seen(
        self,
        desired: DesiredSubscription,
        live: ActualSubscription,
        *,
        renewed: bool = False,
        settled: bool = False,
        certificate_id: str | None = None,
    ) -> None:
        """Graph has told that it lives. ``renewed``: authorised anew just now; ``certificate_id``: what we sent it."""
        now = self.clock()
        before = self.watch.tracked.get(desired.key)
        # A list or an answer may leave the certificate's id out; what we sent, or knew, is still true.
        known = before if before is not None and before.id == live.id else None
        known_certificate_id, known_tag = (known.certificate_id, known.client_state_tag) if known else (None, None)
        tracked = Tracked(
            live.id,
            desired.resource,
            live.expires_at,
            certificate_id or live.certificate_id or known_certificate_id,
            now,
            authorised_at=now if renewed else None,
            granted_until=live.expires_at if renewed else None,
            # Of one that was made without our getting the answer: it was made lately, and so with the current secret.
            client_state_tag=known_tag or client_state_tag(self.client_state, live.id),
        )
        self.watch, gap = self.watch.seen_live(desired.key, tracked, now, renewed=renewed)
        if renewed or settled:
            self.watch = self.watch.without_problem(desired.key)
        if gap is not None:
            self.gaps.append(gap)

    def error(self, key: str, answer: object) -> None:
        """Graph did not do something: a problem where it refused, a pause where it was out of reach."""
        if isinstance(answer, GraphUnavailable):
            self.postponed = answer
        elif isinstance(answer, GraphFault):
            self.problem(key, str(answer))

    def problem(self, key: str, sentence: str, *, asked_graph: bool = True) -> None:
        """Something stands in the way, in a sentence for the operator; said in the log once."""
        before = self.watch.problems.get(key)
        if before is None or before.sentence != sentence:
            logger.error("subscription to %s: %s", key, sentence)
        self.watch = self.watch.with_problem(key, sentence, self.clock(), asked_graph=asked_graph)

    def save(self) -> None:
        """Make it durable. Raises Busy where another instance has written meanwhile."""
        # Gaps first: a crash in between asks for one twice, the other order would forget it.
        self.claim.ask_for_export(self.gaps)
        self.gaps.clear()
        if self.postponed is not None:
            self.watch = replace(self.watch, not_before=self.clock() + self.postponed.retry_after)
        self.claim.save(self.watch)
