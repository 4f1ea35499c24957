"""One run: list once, decide, act, and remember what was learned.

What could not be done is a problem with a sentence, and tried again when it is due.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.core.errors import CannotArchive, GraphNotFound, GraphRefused, GraphUnavailable, KeyVaultUnavailable
from shared.core.subscription import Action, ActualSubscription, Create, Here, Keep, Recreate, Renew, decide
from shared.core.subscription_rules import LICENSED, ORGANISATION_QUOTA, DesiredSubscription, expand, user_in
from shared.flows.subscription_changes import SubscriptionChanges
from shared.flows.subscription_notes import SubscriptionNotes
from shared.ports import CertificateVersion, Clock, Graph, KeyRing

logger = logging.getLogger(__name__)

# Problems that are not one resource's own.
EVERYTHING = "*"


@dataclass(slots=True)
class SubscriptionRun:
    """What a run is given. ``wanted`` is SUBSCRIPTIONS, not yet expanded to users."""

    graph: Graph
    key_ring: KeyRing
    notes: SubscriptionNotes
    wanted: tuple[DesiredSubscription, ...]
    notification_url: str
    lifecycle_url: str
    clock: Clock

    def run(self) -> None:
        """Do it. Raises GraphUnavailable, after all that could be done is remembered, or Busy."""
        now, notes = self.clock(), self.notes
        left_alone_until = notes.watch.not_before
        if left_alone_until is not None and now < left_alone_until:
            raise GraphUnavailable(f"Graph asked to be left alone until {left_alone_until}", left_alone_until - now)
        notes.watch = notes.watch.away(now)
        try:
            self._reconcile()
        except (GraphRefused, GraphNotFound) as error:
            # Graph refuses the app itself. Deliveries may stop any time, and nobody tells when.
            notes.watch = notes.watch.refused(notes.watch.tracked, now).with_problem(EVERYTHING, str(error), now)
            logger.error("Graph refuses the app: %s", error)  # noqa: TRY400 - the sentence is all there is to know
        except GraphUnavailable as error:
            notes.postponed = error
            notes.watch = notes.watch.awaiting((each.key for each in self.wanted if each.users is None), now)
        notes.save()
        if notes.postponed is not None:
            raise notes.postponed

    def _reconcile(self) -> None:
        actual = self.graph.subscriptions()
        desired = self._expanded(actual)
        certificate, trouble = self._certificate(desired)
        version = certificate.version if certificate else None
        here = Here(self.notification_url, self.lifecycle_url, version, self.notes.client_state)
        actions = decide(desired, actual, here, self.notes.watch, self.clock())
        self._note_list(desired, actual, actions)
        # Durable before anything is changed: a crash after this line forgets nothing that the list has shown.
        self.notes.save()
        SubscriptionChanges(
            graph=self.graph,
            notes=self.notes,
            desired=desired,
            here=here,
            certificate=certificate.der if certificate else None,
            certificate_trouble=trouble,
            clock=self.clock,
        ).perform(actions)
        self.notes.watch = replace(self.notes.watch, reconciled_at=self.clock(), not_before=None)

    def _expanded(self, actual: Sequence[ActualSubscription]) -> list[DesiredSubscription]:
        desired: list[DesiredSubscription] = []
        for template in self.wanted:
            desired += [template] if template.users is None else expand(template, self._users(template, actual))
        if len(desired) > ORGANISATION_QUOTA:
            # https://learn.microsoft.com/graph/change-notifications-overview: per organisation, over all apps.
            sentence = (
                f"{len(desired)} subscriptions are wanted and Graph gives an organisation {ORGANISATION_QUOTA}; the "
                "others are left out: subscribe to the tenant's resource instead"
            )
            self.notes.problem(self.wanted[-1].key, sentence, asked_graph=False)
        return desired[:ORGANISATION_QUOTA]

    def _users(self, template: DesiredSubscription, actual: Sequence[ActualSubscription]) -> Sequence[str]:
        if template.users != LICENSED:
            return template.users or ()
        try:
            return list(self.graph.licensed_users())
        except (GraphRefused, GraphUnavailable) as error:
            # Who is licensed is not known now. Those who have a subscription keep it; the other resources go on.
            self.notes.error(template.key, error)
            named = (user_in(template, each.resource) for each in actual)
            return [user for user in named if user is not None]

    def _certificate(self, desired: Sequence[DesiredSubscription]) -> tuple[CertificateVersion | None, str]:
        """The newest version, or why there is none: what lives is then renewed with the version that it has."""
        if not any(each.include_resource_data for each in desired):
            return None, ""
        try:
            return self.key_ring.current(), ""
        except (KeyVaultUnavailable, CannotArchive) as error:
            logger.error("no certificate for new subscriptions: %s", error)  # noqa: TRY400 - as above
            return None, str(error)

    def _note_list(
        self,
        desired: Sequence[DesiredSubscription],
        actual: Sequence[ActualSubscription],
        actions: Sequence[Action],
    ) -> None:
        for action in actions:
            if isinstance(action, Keep | Renew | Recreate):
                self.notes.seen(action.desired, action.actual, settled=isinstance(action, Keep))
        ended = (action.desired.key for action in actions if isinstance(action, Create))
        self.notes.watch = self.notes.watch.missing(ended)
        keys = {each.key for each in (*desired, *self.wanted)}
        self.notes.gaps += self.notes.watch.unwanted(keys, {each.id for each in actual}, self.clock())
        self.notes.watch = self.notes.watch.only(keys)
