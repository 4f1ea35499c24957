"""Graph is made to agree with what the operator wants, run by run, for years.

The rules decide (``core/subscription.py``), this flow performs. Graph is listed once per run. Whatever is done is found
by the next run's list even if its answer was lost, so nothing is ever asked for twice blindly.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from shared.core.gap import Gap
from shared.core.notification import LifecycleNotification
from shared.core.subscription_rules import DesiredSubscription
from shared.core.subscription_watch import Watch
from shared.flows.subscription_notes import SubscriptionNotes
from shared.flows.subscription_run import SubscriptionRun
from shared.flows.watch_claim import WatchClaim
from shared.ports import Clock, Container, Graph, KeyRing

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reconciling:
    """Compares desired with actual and acts; where SUBSCRIPTIONS is not set (``desired`` is None) it does nothing."""

    graph: Graph
    key_ring: KeyRing
    state: Container
    desired: tuple[DesiredSubscription, ...] | None
    notification_url: str
    lifecycle_url: str
    client_state: str = field(repr=False)
    clock: Clock

    def reconcile(self) -> None:
        """One run.

        Raises Busy while another instance is at it, an Unavailable where Graph or storage is out of reach.
        """
        if self.desired is None:
            logger.warning("SUBSCRIPTIONS is not set: subscriptions are left as they are")
            return
        with self._claimed() as claim:
            self._run(claim, self.desired, claim.watch)

    def heed(self, hints: Iterable[LifecycleNotification]) -> None:
        """A run because Graph hinted at something; none where the hints say nothing new. Raises as ``reconcile``."""
        if self.desired is None:
            logger.warning("SUBSCRIPTIONS is not set: a lifecycle notification is nobody's business here")
            return
        hints = list(hints)
        peeked = WatchClaim(self.state, self.clock)
        peeked.read()
        if self._hear(peeked.watch, hints)[0] == peeked.watch:
            # The rest of a storm: whoever has the claim has heard it already, and nobody need wait for him.
            return
        with self._claimed() as claim:
            watch, gaps, look = self._hear(claim.watch, hints)
            claim.ask_for_export(gaps)
            claim.save(watch)
            if look:
                self._run(claim, self.desired, watch)

    def _hear(self, watch: Watch, hints: Iterable[LifecycleNotification]) -> tuple[Watch, list[Gap], bool]:
        """What the hints come to: what is remembered, the gaps, and whether it is worth a look."""
        gaps: list[Gap] = []
        look = False
        for hint in hints:
            heard = watch.hinted(hint, self.clock())
            watch, look = heard.watch, look or heard.look
            gaps += [heard.gap] if heard.gap else []
        return watch, gaps, look

    def _run(self, claim: WatchClaim, wanted: tuple[DesiredSubscription, ...], watch: Watch) -> None:
        SubscriptionRun(
            graph=self.graph,
            key_ring=self.key_ring,
            notes=SubscriptionNotes(claim, self.clock, watch, self.client_state),
            wanted=wanted,
            notification_url=self.notification_url,
            lifecycle_url=self.lifecycle_url,
            clock=self.clock,
        ).run()

    @contextmanager
    def _claimed(self) -> Iterator[WatchClaim]:
        claim = WatchClaim(self.state, self.clock)
        claim.take()
        try:
            yield claim
        finally:
            claim.release()
