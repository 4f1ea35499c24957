"""One run: list once, decide, act, and remember what was learned.

Nothing is repeated within a run. What was done and not answered shows in the next run's list; what could not be done is
a problem with a sentence, and tried again when it is due.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from shared.core.errors import (
    CannotArchive,
    CaptureError,
    GraphConflict,
    GraphFault,
    GraphNotFound,
    GraphRefused,
    GraphUnavailable,
    KeyVaultUnavailable,
)
from shared.core.graph_subscription import creation, renewal
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
    needs_life,
)
from shared.core.subscription_rules import LICENSED, MAX_LIFE, ORGANISATION_QUOTA, DesiredSubscription, expand, user_in
from shared.core.subscription_watch import Gap, Tracked, Watch
from shared.flows.watch_claim import WatchClaim
from shared.ports import CertificateVersion, Clock, Graph, GraphCall, KeyRing

logger = logging.getLogger(__name__)

# Under the 500 changes that Graph takes in 20 s (https://learn.microsoft.com/graph/throttling-limits); the rest waits
# for the next run. Ten thousand subscriptions are renewed in two hours, and have a day and a half for it.
MAX_CHANGES = 400
# https://learn.microsoft.com/graph/json-batching#batch-size-limitations; the claim is looked at before each.
BATCH = 20
# Problems that are not one resource's own.
EVERYTHING = "*"
_BAD_REQUEST = 400

Answer = ActualSubscription | CaptureError | None


@dataclass
class SubscriptionRun:
    """What a run is given, and what it has learned so far. ``watch`` becomes durable by ``_save`` only."""

    graph: Graph
    key_ring: KeyRing
    claim: WatchClaim
    wanted: tuple[DesiredSubscription, ...]
    watch: Watch
    notification_url: str
    lifecycle_url: str
    client_state: str
    clock: Clock
    desired: list[DesiredSubscription] = field(default_factory=list)
    certificate: CertificateVersion | None = None
    certificate_trouble: str = ""
    postponed: GraphUnavailable | None = None
    changes_left: int = MAX_CHANGES
    gaps: list[Gap] = field(default_factory=list)

    def run(self) -> None:
        """Do it. Raises GraphUnavailable, after all that could be done is remembered, or Busy."""
        now = self.clock()
        left_alone_until = self.watch.not_before
        if left_alone_until is not None and now < left_alone_until:
            raise GraphUnavailable(f"Graph asked to be left alone until {left_alone_until}", left_alone_until - now)
        self.watch = self.watch.away(now)
        try:
            self._reconcile()
        except (GraphRefused, GraphNotFound) as error:
            # Graph refuses the app itself. Deliveries may stop any time, and nobody tells when.
            self.watch = self.watch.refused(self.watch.tracked, now).with_problem(EVERYTHING, str(error), now)
            logger.error("Graph refuses the app: %s", error)  # noqa: TRY400 - the sentence is all there is to know
        except GraphUnavailable as error:
            self.postponed = error
            self.watch = self.watch.awaiting((each.key for each in self.wanted if each.users is None), now)
        self._save()
        if self.postponed is not None:
            raise self.postponed

    @cached_property
    def here(self) -> Here:
        """Where our subscriptions must point to."""
        return Here(self.notification_url, self.lifecycle_url, self.certificate.version if self.certificate else None)

    @cached_property
    def roles(self) -> frozenset[str]:
        """Our permissions, looked at once and only where something is to be created."""
        return self.graph.roles()

    def _reconcile(self) -> None:
        actual = self.graph.subscriptions()
        self.desired = self._expanded(actual)
        self._find_certificate()
        actions = decide(self.desired, actual, self.here, self.watch, self.clock())
        self._note_list(actions, actual)
        # Durable before anything is changed: a crash after this line forgets nothing that the list has shown.
        self._save()
        self._perform(actions)
        self.watch = replace(self.watch, reconciled_at=self.clock(), not_before=None)

    def _expanded(self, actual: Sequence[ActualSubscription]) -> list[DesiredSubscription]:
        desired: list[DesiredSubscription] = []
        for template in self.wanted:
            desired += [template] if template.users is None else expand(template, self._users(template, actual))
        if len(desired) > ORGANISATION_QUOTA:
            # https://learn.microsoft.com/graph/change-notifications-overview: per organisation, over all apps.
            logger.error(
                "%d subscriptions are wanted and Graph gives an organisation %d; the others are left out: subscribe to "
                "the tenant's resource instead",
                len(desired),
                ORGANISATION_QUOTA,
            )
        return desired[:ORGANISATION_QUOTA]

    def _users(self, template: DesiredSubscription, actual: Sequence[ActualSubscription]) -> Sequence[str]:
        if template.users != LICENSED:
            return template.users or ()
        try:
            return list(self.graph.licensed_users())
        except (GraphRefused, GraphUnavailable) as error:
            # Who is licensed is not known now. Those who have a subscription keep it; the other resources go on.
            self._note_error(template.key, error)
            named = (user_in(template, each.resource) for each in actual)
            return [user for user in named if user is not None]

    def _find_certificate(self) -> None:
        if any(each.include_resource_data for each in self.desired):
            try:
                self.certificate = self.key_ring.current()
            except (KeyVaultUnavailable, CannotArchive) as error:
                # What lives is renewed with the version that it has; what needs a certificate waits, and says so.
                self.certificate_trouble = str(error)
                logger.error("no certificate for new subscriptions: %s", error)  # noqa: TRY400 - as above

    def _note_list(self, actions: Sequence[Action], actual: Sequence[ActualSubscription]) -> None:
        for action in actions:
            if isinstance(action, Keep | Renew | Recreate):
                self._seen(action.desired, action.actual, settled=isinstance(action, Keep))
        keys = {each.key for each in (*self.desired, *self.wanted)}
        self.gaps += self.watch.unwanted(keys, {each.id for each in actual}, self.clock())
        self.watch = self.watch.only(keys)

    def _perform(self, actions: Sequence[Action]) -> None:
        deletions: list[Delete | Recreate] = []
        renewals: list[Renew] = []
        creations: list[DesiredSubscription] = []
        for action in actions:
            match action:
                case Delete():
                    deletions.append(action)
                case Create() if self._due(action.desired):
                    creations.append(action.desired)
                case Recreate() if self._due(action.desired) and self._unobstructed(action.desired):
                    deletions.append(action)
                case Recreate() if needs_life(action.actual, self.watch.tracked.get(action.desired.key), self.clock()):
                    renewals.append(Renew(action.desired, action.actual, "it can't be made again yet"))
                case Renew() if self._due(action.desired):
                    renewals.append(action)
        gone = self._delete(deletions)
        creations += self._renew(renewals)
        creations += [each.desired for each in deletions if isinstance(each, Recreate) and each.actual.id in gone]
        self._create(creations)

    def _due(self, desired: DesiredSubscription) -> bool:
        return self.watch.due(desired.key, self.clock())

    def _unobstructed(self, desired: DesiredSubscription) -> bool:
        """Whether a creation is worth asking Graph for; if not, the operator is told why."""
        sentence = None
        if not self.roles & frozenset(desired.rule.permissions):
            least = desired.rule.permissions[0]
            sentence = (
                f"the app registration lacks {least} for {desired.rule.name}: grant it as an application permission"
            )
        elif desired.include_resource_data and self.certificate is None:
            sentence = f"Key Vault gives no certificate to encrypt for: {self.certificate_trouble}"
        if sentence is not None:
            self._problem(desired.key, sentence, asked_graph=False)
        return sentence is None

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

    def _renew(self, actions: Sequence[Renew]) -> list[DesiredSubscription]:
        """Renew, and return what has to be created instead."""
        create: list[DesiredSubscription] = []
        for action, answer in zip(actions, self._send([self._renewal(each) for each in actions]), strict=False):
            if isinstance(answer, ActualSubscription):
                self._seen(action.desired, answer, renewed=True, certificate_sent=_sends_certificate(action))
                logger.info("subscription %s renewed until %s: %s", answer.id, answer.expires_at, action.reason)
            elif isinstance(answer, GraphNotFound):
                create.append(action.desired)
            elif _takes_no_certificate(action, answer):
                # Microsoft's guide lets a PATCH carry the certificate, its reference does not: this Graph does not.
                if self._delete([Delete(action.actual, "it takes no new certificate")]):
                    create.append(action.desired)
            else:
                if isinstance(answer, GraphRefused):
                    self.watch = self.watch.refused([action.desired.key], self.clock())
                self._note_error(action.desired.key, answer)
        return create

    def _create(self, desired: Sequence[DesiredSubscription]) -> None:
        possible = [each for each in desired if self._unobstructed(each)]
        answers = self._send([self._creation(each) for each in possible])
        for wanted, answer in zip(possible, answers, strict=False):
            if isinstance(answer, GraphConflict):
                self._resolve(wanted, answer)
            else:
                self._created(wanted, answer)
        # What could not be made has hours from now on that nothing vouches for; what was not yet its turn, has not.
        later = {each.key for each in possible[len(answers) :]}
        self.watch = self.watch.awaiting((each.key for each in desired if each.key not in later), self.clock())

    def _created(self, wanted: DesiredSubscription, answer: Answer) -> None:
        if isinstance(answer, ActualSubscription):
            self._seen(wanted, answer, renewed=True, certificate_sent=wanted.include_resource_data)
            logger.info("subscription %s created for %s", answer.id, wanted.resource)
        else:
            self._note_error(wanted.key, answer)

    def _resolve(self, wanted: DesiredSubscription, conflict: GraphConflict) -> None:
        """Something is in the way that the list did not show: adopt it, replace it, or name it to the operator."""
        existing = self.graph.subscription(conflict.existing_id) if conflict.existing_id else None
        known = frozenset(each.id for each in self.watch.tracked.values())
        if existing is None or not is_ours(existing, self.here, known):
            self._problem(
                wanted.key,
                f"another subscription of this app registration ({conflict.existing_id or 'of unknown id'}) is in the "
                "way; delete it, or use an app registration of its own: this app touches none that is not its own",
            )
        elif existing.key != wanted.key and existing.key in {each.key for each in self.desired}:
            self._problem(wanted.key, f"Graph does not give it together with {existing.resource}: want one of the two")
        elif all(isinstance(action, Keep | Renew) for action in self._decide_about(wanted, existing)):
            # Adopted; what is left to renew on it, the next run's list shows.
            self._seen(wanted, existing, settled=True)
        elif self._delete([Delete(existing, "it is in the way of what is wanted")]):
            for answer in self._send([self._creation(wanted)]):
                self._created(wanted, answer)

    def _decide_about(self, wanted: DesiredSubscription, existing: ActualSubscription) -> list[Action]:
        return decide([wanted], [existing], self.here, self.watch, self.clock())

    def _creation(self, desired: DesiredSubscription) -> GraphCall:
        body = creation(
            desired,
            self.here,
            client_state=self.client_state,
            certificate=self._der(),
            expires_at=self._expiry(),
        )
        return GraphCall("POST", "subscriptions", f"subscribe to {desired.resource}", body)

    def _renewal(self, action: Renew) -> GraphCall:
        body = renewal(
            self.here,
            new_url=action.new_url,
            new_certificate=_sends_certificate(action),
            certificate=self._der(),
            expires_at=self._expiry(),
        )
        return GraphCall("PATCH", f"subscriptions/{action.actual.id}", f"renew subscription {action.actual.id}", body)

    def _send(self, calls: Sequence[GraphCall]) -> list[Answer]:
        """Send as many as this run may. What is beyond is left for the next one, which decides afresh."""
        now_sent = calls[: self.changes_left]
        self.changes_left -= len(now_sent)
        answers: list[Answer] = []
        for start in range(0, len(now_sent), BATCH):
            self.claim.check()
            answers += self.graph.send(now_sent[start : start + BATCH])
        for answer in answers:
            if isinstance(answer, GraphUnavailable):
                self.postponed = answer
        return answers

    def _seen(
        self,
        desired: DesiredSubscription,
        live: ActualSubscription,
        *,
        renewed: bool = False,
        settled: bool = False,
        certificate_sent: bool = False,
    ) -> None:
        now = self.clock()
        before = self.watch.tracked.get(desired.key)
        # A list or an answer may leave the certificate's id out; what we sent, or knew, is still true.
        known = before.certificate_id if before is not None and before.id == live.id else None
        certificate_id = self.here.certificate_id if certificate_sent else live.certificate_id or known
        authorised_at = now if renewed else None
        tracked = Tracked(live.id, desired.resource, live.expires_at, certificate_id, now, authorised_at=authorised_at)
        self.watch, gap = self.watch.seen_live(desired.key, tracked, now, renewed=renewed)
        if renewed or settled:
            self.watch = self.watch.without_problem(desired.key)
        if gap is not None:
            self.gaps.append(gap)

    def _note_error(self, key: str, answer: object) -> None:
        if isinstance(answer, GraphUnavailable):
            self.postponed = answer
        elif isinstance(answer, GraphFault):
            self._problem(key, str(answer))

    def _problem(self, key: str, sentence: str, *, asked_graph: bool = True) -> None:
        before = self.watch.problems.get(key)
        if before is None or before.sentence != sentence:
            logger.error("subscription to %s: %s", key, sentence)
        self.watch = self.watch.with_problem(key, sentence, self.clock(), asked_graph=asked_graph)

    def _save(self) -> None:
        # Gaps first: a crash in between asks for one twice, the other order would forget it.
        self.claim.ask_for_export(self.gaps)
        self.gaps.clear()
        if self.postponed is not None:
            self.watch = replace(self.watch, not_before=self.clock() + self.postponed.retry_after)
        self.claim.save(self.watch)

    def _expiry(self) -> datetime:
        return self.clock() + MAX_LIFE

    def _der(self) -> bytes:
        return self.certificate.der if self.certificate else b""


def _sends_certificate(action: Renew) -> bool:
    """One thing at a time: where the URL changes too, a refusal would not say which of the two it is about."""
    return action.new_certificate and not action.new_url


def _takes_no_certificate(action: Renew, answer: Answer) -> bool:
    return _sends_certificate(action) and isinstance(answer, GraphRefused) and answer.status == _BAD_REQUEST
