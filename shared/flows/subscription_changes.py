"""What was decided is done in Graph: delete, renew, create, each by twenties, and what went wrong is noted.

Nothing is repeated here. What was done and not answered shows in the next run's list.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from shared.core.errors import CaptureError, GraphConflict, GraphNotFound, GraphRefused
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
from shared.core.subscription_rules import MAX_LIFE, DesiredSubscription
from shared.flows.subscription_notes import SubscriptionNotes
from shared.ports import Clock, Graph, GraphCall

logger = logging.getLogger(__name__)

# Under the 500 changes that Graph takes in 20 s (https://learn.microsoft.com/graph/throttling-limits); the rest waits
# for the next run. Ten thousand subscriptions are renewed in two hours, and have a day and a half for it.
MAX_CHANGES = 400
# https://learn.microsoft.com/graph/json-batching#batch-size-limitations; the claim is looked at before each.
BATCH = 20
_BAD_REQUEST = 400

Answer = ActualSubscription | CaptureError | None


@dataclass
class SubscriptionChanges:
    """The changes of one run. ``certificate`` is the public part to encrypt for, None while Key Vault gives none."""

    graph: Graph
    notes: SubscriptionNotes
    desired: Sequence[DesiredSubscription]
    here: Here
    certificate: bytes | None
    certificate_trouble: str
    clock: Clock
    changes_left: int = MAX_CHANGES

    @cached_property
    def roles(self) -> frozenset[str] | None:
        """Our permissions, looked at once and only where something is to be created."""
        return self.graph.roles()

    def perform(self, actions: Sequence[Action]) -> None:
        """Do what is due and possible; deletions first, they make room within Graph's quotas."""
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
                case Recreate() if needs_life(
                    action.actual, self.notes.watch.tracked.get(action.desired.key), self.clock()
                ):
                    renewals.append(Renew(action.desired, action.actual, "it can't be made again yet"))
                case Renew() if self._due(action.desired):
                    renewals.append(action)
        gone = self._delete(deletions)
        creations += self._renew(renewals)
        creations += [each.desired for each in deletions if isinstance(each, Recreate) and each.actual.id in gone]
        self._create(creations)

    def _due(self, desired: DesiredSubscription) -> bool:
        return self.notes.watch.due(desired.key, self.clock())

    def _unobstructed(self, desired: DesiredSubscription) -> bool:
        """Whether a creation is worth asking Graph for; if not, the operator is told why."""
        sentence = None
        if self.roles is not None and not self.roles & frozenset(desired.rule.permissions):
            least = desired.rule.permissions[0]
            sentence = (
                f"the app registration lacks {least} for {desired.rule.name}: grant it as an application permission"
            )
        elif desired.include_resource_data and self.certificate is None:
            sentence = f"Key Vault gives no certificate to encrypt for: {self.certificate_trouble}"
        if sentence is not None:
            self.notes.problem(desired.key, sentence, asked_graph=False)
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
                self.notes.error(action.actual.key, answer)
        return frozenset(gone)

    def _renew(self, actions: Sequence[Renew]) -> list[DesiredSubscription]:
        """Renew, and return what has to be created instead."""
        create: list[DesiredSubscription] = []
        for action, answer in zip(actions, self._send([self._renewal(each) for each in actions]), strict=False):
            if isinstance(answer, ActualSubscription):
                self.notes.seen(
                    action.desired, answer, renewed=True, certificate_id=self._sent_id(_sends_certificate(action))
                )
                logger.info("subscription %s renewed until %s: %s", answer.id, answer.expires_at, action.reason)
            elif isinstance(answer, GraphNotFound):
                create.append(action.desired)
            elif _takes_no_certificate(action, answer):
                # Microsoft's guide lets a PATCH carry the certificate, its reference does not: this Graph does not.
                if self._delete([Delete(action.actual, "it takes no new certificate")]):
                    create.append(action.desired)
            else:
                if isinstance(answer, GraphRefused):
                    self.notes.watch = self.notes.watch.refused([action.desired.key], self.clock())
                self.notes.error(action.desired.key, answer)
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
        self.notes.watch = self.notes.watch.awaiting(
            (each.key for each in desired if each.key not in later), self.clock()
        )

    def _created(self, wanted: DesiredSubscription, answer: Answer) -> None:
        if isinstance(answer, ActualSubscription):
            self.notes.seen(wanted, answer, renewed=True, certificate_id=self._sent_id(wanted.include_resource_data))
            logger.info("subscription %s created for %s", answer.id, wanted.resource)
        else:
            self.notes.watch = self.notes.watch.missing([wanted.key])
            self.notes.error(wanted.key, answer)

    def _resolve(self, wanted: DesiredSubscription, conflict: GraphConflict) -> None:
        """Something is in the way that the list did not show: adopt it, replace it, or name it to the operator."""
        existing = self.graph.subscription(conflict.existing_id) if conflict.existing_id else None
        known = frozenset(each.id for each in self.notes.watch.tracked.values())
        if existing is None or not is_ours(existing, self.here, known):
            self.notes.problem(
                wanted.key,
                f"another subscription of this app registration ({conflict.existing_id or 'of unknown id'}) is in the "
                "way; delete it, or use an app registration of its own: this app touches none that is not its own",
            )
        elif existing.key != wanted.key and existing.key in {each.key for each in self.desired}:
            self.notes.problem(
                wanted.key, f"Graph does not give it together with {existing.resource}: want one of the two"
            )
        elif all(isinstance(action, Keep | Renew) for action in self._decide_about(wanted, existing)):
            # Adopted; what is left to renew on it, the next run's list shows.
            self.notes.seen(wanted, existing, settled=True)
        elif self._delete([Delete(existing, "it is in the way of what is wanted")]):
            for answer in self._send([self._creation(wanted)]):
                self._created(wanted, answer)

    def _decide_about(self, wanted: DesiredSubscription, existing: ActualSubscription) -> list[Action]:
        return decide([wanted], [existing], self.here, self.notes.watch, self.clock())

    def _creation(self, desired: DesiredSubscription) -> GraphCall:
        body = creation(
            desired,
            self.here,
            certificate=self.certificate or b"",
            expires_at=self.clock() + MAX_LIFE,
        )
        return GraphCall("POST", "subscriptions", f"subscribe to {desired.resource}", body)

    def _renewal(self, action: Renew) -> GraphCall:
        body = renewal(
            self.here,
            new_url=action.new_url,
            new_certificate=_sends_certificate(action),
            certificate=self.certificate or b"",
            expires_at=self.clock() + MAX_LIFE,
        )
        return GraphCall("PATCH", f"subscriptions/{action.actual.id}", f"renew subscription {action.actual.id}", body)

    def _sent_id(self, sent: bool) -> str | None:
        return self.here.certificate_id if sent else None

    def _send(self, calls: Sequence[GraphCall]) -> list[Answer]:
        """Send as many as this run may. What is beyond is left for the next one, which decides afresh."""
        now_sent = calls[: self.changes_left]
        self.changes_left -= len(now_sent)
        answers: list[Answer] = []
        for start in range(0, len(now_sent), BATCH):
            self.notes.claim.check()
            answers += self.graph.send(now_sent[start : start + BATCH])
        return answers


def _sends_certificate(action: Renew) -> bool:
    """One thing at a time: where the URL changes too, a refusal would not say which of the two it is about."""
    return action.new_certificate and not action.new_url


def _takes_no_certificate(action: Renew, answer: Answer) -> bool:
    return _sends_certificate(action) and isinstance(answer, GraphRefused) and answer.status == _BAD_REQUEST
