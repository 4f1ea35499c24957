"""Graph is made to agree with what the operator wants, run by run, for years.

The rules decide (``core/subscription.py``), this flow performs. Graph is listed once per run. Whatever is done is found
by the next run's list even if its answer was lost, so nothing is ever asked for twice blindly.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.core.errors import (
    CannotArchive,
    CaptureError,
    GraphConflict,
    GraphNotFound,
    GraphRefused,
    GraphUnavailable,
    KeyVaultUnavailable,
)
from shared.core.graph_subscription import creation, renewal
from shared.core.notification import LifecycleNotification
from shared.core.subscription import (
    Action,
    ActualSubscription,
    Create,
    Delete,
    Here,
    Keep,
    Recreate,
    Renew,
    decide,
    is_ours,
)
from shared.core.subscription_rules import LICENSED, MAX_LIFE, ORGANISATION_QUOTA, DesiredSubscription, expand
from shared.core.subscription_watch import Gap, Tracked, Watch
from shared.flows.watch_claim import WatchClaim
from shared.ports import CertificateVersion, Clock, Container, Graph, GraphCall, KeyRing

logger = logging.getLogger(__name__)

# Under the 500 changes that Graph takes in 20 s (https://learn.microsoft.com/graph/throttling-limits); the rest waits
# for the next run. Ten thousand subscriptions are renewed in two hours, and have a day and a half for it.
MAX_CHANGES_PER_RUN = 400
# Problems that are not one resource's own.
EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Reconciling:
    """Compares desired with actual and acts; where SUBSCRIPTIONS is not set (``desired`` is None) it does nothing."""

    graph: Graph
    key_ring: KeyRing
    state: Container
    desired: tuple[DesiredSubscription, ...] | None
    notification_url: str
    lifecycle_url: str
    client_state: str
    clock: Clock

    def reconcile(self) -> None:
        """One run.

        Raises Busy while another instance is at it, an Unavailable where Graph or storage is out of reach.
        """
        if self.desired is None:
            logger.warning("SUBSCRIPTIONS is not set: subscriptions are left as they are")
            return
        with self._claimed() as claim:
            _Run(self, claim, self.desired, claim.watch).run()

    def heed(self, hints: Iterable[LifecycleNotification]) -> None:
        """A run because Graph hinted at something; none where the hints say nothing new. Raises as ``reconcile``."""
        if self.desired is None:
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
                _Run(self, claim, self.desired, watch).run()

    def _hear(self, watch: Watch, hints: Iterable[LifecycleNotification]) -> tuple[Watch, list[Gap], bool]:
        """What the hints come to: what is remembered, the gaps, and whether it is worth a look."""
        gaps: list[Gap] = []
        look = False
        for hint in hints:
            heard = watch.hinted(hint, self.clock())
            watch, look = heard.watch, look or heard.look
            gaps += [heard.gap] if heard.gap else []
        return watch, gaps, look

    @contextmanager
    def _claimed(self) -> Iterator[WatchClaim]:
        claim = WatchClaim(self.state, self.clock)
        claim.take()
        try:
            yield claim
        finally:
            claim.release()


@dataclass(slots=True)
class _Run:
    """One run's work and what it has learned so far."""

    own: Reconciling
    claim: WatchClaim
    templates: tuple[DesiredSubscription, ...]
    watch: Watch
    certificate: CertificateVersion | None = None
    postponed: GraphUnavailable | None = None
    changes_left: int = MAX_CHANGES_PER_RUN
    gaps: list[Gap] = field(default_factory=list)

    def run(self) -> None:
        now = self.own.clock()
        left_alone_until = self.watch.not_before
        if left_alone_until is not None and now < left_alone_until:
            raise GraphUnavailable(f"Graph asked to be left alone until {left_alone_until}", left_alone_until - now)
        try:
            self._reconcile()
        except GraphRefused as error:
            # Graph refuses the app itself. Deliveries may stop any time, and nobody tells when.
            self.watch = self.watch.refused(self.watch.tracked, now).with_problem(EVERYTHING, str(error), now)
            logger.error("Graph refuses the app: %s", error)  # noqa: TRY400 - the sentence is all there is to know
        except GraphUnavailable as error:
            self.postponed = error
        self._save()
        if self.postponed is not None:
            raise self.postponed

    def _reconcile(self) -> None:
        actual = self.own.graph.subscriptions()
        desired = self._expanded()
        self._find_certificate(desired)
        here = self._here()
        actions = decide(desired, actual, here, self.watch, self.own.clock())
        for action in actions:
            if isinstance(action, Keep | Renew | Recreate):
                self._seen(action.desired, action.actual, settled=isinstance(action, Keep))
        self.watch = replace(
            self.watch.only({each.key for each in desired}), reconciled_at=self.own.clock(), not_before=None
        )
        self._save()
        self._perform([action for action in actions if not isinstance(action, Keep)], here)

    def _expanded(self) -> list[DesiredSubscription]:
        desired: list[DesiredSubscription] = []
        for template in self.templates:
            if template.users is None:
                desired.append(template)
            else:
                licensed = template.users == LICENSED
                users = list(self.own.graph.licensed_users()) if licensed else list(template.users)
                desired += expand(template, users)
        if len(desired) > ORGANISATION_QUOTA:
            # https://learn.microsoft.com/graph/change-notifications-overview: per organisation, over all apps.
            logger.error(
                "%d subscriptions are wanted and Graph gives an organisation %d; the others are left out: subscribe to "
                "the tenant's resource instead",
                len(desired),
                ORGANISATION_QUOTA,
            )
        return desired[:ORGANISATION_QUOTA]

    def _find_certificate(self, desired: Iterable[DesiredSubscription]) -> None:
        if any(each.include_resource_data for each in desired):
            try:
                self.certificate = self.own.key_ring.current()
            except (KeyVaultUnavailable, CannotArchive) as error:
                # What lives is renewed with the version that it has; what needs a certificate waits, and says so.
                logger.error("no certificate for new subscriptions: %s", error)  # noqa: TRY400 - as above

    def _here(self) -> Here:
        version = self.certificate.version if self.certificate else None
        return Here(self.own.notification_url, self.own.lifecycle_url, version)

    def _perform(self, actions: Sequence[Action], here: Here) -> None:
        refused = self._not_now(actions, here)
        todo = [action for action in actions if isinstance(action, Delete) or action.desired.key not in refused]
        gone = self._delete([action for action in todo if isinstance(action, Delete | Recreate)])
        again = self._renew([action for action in todo if isinstance(action, Renew)], here)
        self._create(
            [action.desired for action in todo if isinstance(action, Create)]
            + [action.desired for action in todo if isinstance(action, Recreate) and action.actual.id in gone]
            + again,
            here,
        )

    def _not_now(self, actions: Sequence[Action], here: Here) -> frozenset[str]:
        """Keys of what can't be done in this run: refused lately, without a permission, or without a certificate."""
        roles = self.own.graph.roles() if any(isinstance(each, Create | Recreate) for each in actions) else frozenset()
        now, keys = self.own.clock(), set()
        for action in actions:
            if isinstance(action, Delete | Keep):
                continue
            key, desired = action.desired.key, action.desired
            if not self.watch.due(key, now):
                keys.add(key)
            elif isinstance(action, Create | Recreate):
                sentence = _obstacle(desired, here, roles)
                if sentence is not None:
                    self._problem(key, sentence)
                    keys.add(key)
        return frozenset(keys)

    def _delete(self, actions: Sequence[Delete | Recreate]) -> frozenset[str]:
        """Delete, and return the ids of what is gone."""
        calls = [
            GraphCall("DELETE", f"subscriptions/{action.actual.id}", f"delete subscription {action.actual.id}")
            for action in actions
        ]
        gone = set()
        for action, answer in zip(actions, self._send(calls), strict=False):
            if answer is None or isinstance(answer, GraphNotFound):
                gone.add(action.actual.id)
                logger.info("subscription %s deleted: %s", action.actual.id, action.reason)
            else:
                self._note_error(action.actual.key, answer)
        return frozenset(gone)

    def _renew(self, actions: Sequence[Renew], here: Here) -> list[DesiredSubscription]:
        """Renew, and return what has to be created instead."""
        answers = self._send([self._renewal(action, here) for action in actions])
        create: list[DesiredSubscription] = []
        for action, answer in zip(actions, answers, strict=False):
            key = action.desired.key
            if isinstance(answer, ActualSubscription):
                self._seen(action.desired, answer, renewed=True)
                logger.info("subscription %s renewed until %s: %s", answer.id, answer.expires_at, action.reason)
            elif isinstance(answer, GraphNotFound):
                create.append(action.desired)
            elif isinstance(answer, GraphRefused) and action.new_certificate:
                # Microsoft's guide lets a PATCH carry the certificate, its reference does not: this Graph does not.
                logger.warning("subscription %s takes no new certificate; it is made again", action.actual.id)
                if self._delete([Delete(action.actual, "it takes no new certificate")]):
                    create.append(action.desired)
            else:
                if isinstance(answer, GraphRefused):
                    self.watch = self.watch.refused([key], self.own.clock())
                self._note_error(key, answer)
        return create

    def _create(self, desired: Sequence[DesiredSubscription], here: Here) -> None:
        for wanted, answer in zip(desired, self._send([self._creation(each, here) for each in desired]), strict=False):
            if isinstance(answer, ActualSubscription):
                self._seen(wanted, answer, renewed=True)
                logger.info("subscription %s created for %s", answer.id, wanted.resource)
            elif isinstance(answer, GraphConflict):
                self._resolve(wanted, answer, here)
            else:
                self._note_error(wanted.key, answer)

    def _resolve(self, wanted: DesiredSubscription, conflict: GraphConflict, here: Here) -> None:
        """Something is in the way that the list did not show: adopt it, replace it, or name it to the operator."""
        existing = self.own.graph.subscription(conflict.existing_id) if conflict.existing_id else None
        known = frozenset(each.id for each in self.watch.tracked.values())
        if existing is None or not is_ours(existing, here, known):
            self._problem(
                wanted.key,
                f"another subscription of this app registration ({conflict.existing_id or 'of unknown id'}) is in the "
                "way; delete it, or use an app registration of its own: this app touches none that is not its own",
            )
            return
        (action,) = decide([wanted], [existing], here, self.watch, self.own.clock())
        if isinstance(action, Keep | Renew):
            # Adopted; what is left to renew on it, the next run's list shows.
            self._seen(wanted, existing, settled=True)
        elif self._delete([Delete(existing, "it is in the way of what is wanted")]):
            (answer,) = self._send([self._creation(wanted, here)]) or [None]
            if isinstance(answer, ActualSubscription):
                self._seen(wanted, answer, renewed=True)
            else:
                self._note_error(wanted.key, answer)

    def _creation(self, desired: DesiredSubscription, here: Here) -> GraphCall:
        body = creation(
            desired,
            here,
            client_state=self.own.client_state,
            certificate=self._der(),
            expires_at=self._expiry(),
        )
        return GraphCall("POST", "subscriptions", f"subscribe to {desired.resource}", body)

    def _renewal(self, action: Renew, here: Here) -> GraphCall:
        body = renewal(
            here,
            new_url=action.new_url,
            new_certificate=action.new_certificate,
            certificate=self._der(),
            expires_at=self._expiry(),
        )
        path = f"subscriptions/{action.actual.id}"
        return GraphCall("PATCH", path, f"renew subscription {action.actual.id}", body)

    def _send(self, calls: Sequence[GraphCall]) -> list[ActualSubscription | CaptureError | None]:
        """Send as many as this run may. What is beyond is left for the next one, which decides afresh."""
        now_sent = calls[: self.changes_left]
        if not now_sent:
            return []
        self.claim.check()
        self.changes_left -= len(now_sent)
        answers = self.own.graph.send(now_sent)
        for answer in answers:
            if isinstance(answer, GraphUnavailable):
                self.postponed = answer
        return answers

    def _seen(
        self, desired: DesiredSubscription, live: ActualSubscription, *, renewed: bool = False, settled: bool = False
    ) -> None:
        now = self.own.clock()
        tracked = Tracked(live.id, desired.resource, live.expires_at, live.certificate_id, now)
        self.watch, gap = self.watch.seen_live(desired.key, tracked, now, renewed=renewed)
        if renewed or settled:
            self.watch = self.watch.without_problem(desired.key)
        if gap is not None:
            self.gaps.append(gap)

    def _note_error(self, key: str, answer: object) -> None:
        if isinstance(answer, CaptureError) and not isinstance(answer, GraphUnavailable):
            self._problem(key, str(answer))

    def _problem(self, key: str, sentence: str) -> None:
        self.watch = self.watch.with_problem(key, sentence, self.own.clock())
        logger.error("subscription to %s: %s", key, sentence)

    def _save(self) -> None:
        # Gaps first: a crash in between asks for one twice, the other order would forget it.
        self.claim.ask_for_export(self.gaps)
        self.gaps.clear()
        watch = self.watch
        if self.postponed is not None:
            watch = replace(watch, not_before=self.own.clock() + self.postponed.retry_after)
        self.claim.save(watch)

    def _expiry(self) -> datetime:
        return self.own.clock() + MAX_LIFE

    def _der(self) -> bytes:
        return self.certificate.der if self.certificate else b""


def _obstacle(desired: DesiredSubscription, here: Here, roles: frozenset[str]) -> str | None:
    """Why a creation need not be tried, in a sentence for the operator."""
    if not roles & frozenset(desired.rule.permissions):
        least = desired.rule.permissions[0]
        return f"the app registration lacks {least} for {desired.rule.name}: grant it as an application permission"
    if desired.include_resource_data and here.certificate_id is None:
        return "there is no certificate to encrypt for: Key Vault does not answer with one"
    return None
