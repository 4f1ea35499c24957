"""Dead letters: parked with their reason, and tried again when an operator says so."""

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice

from shared.core.archive_path import dead_letter_name
from shared.core.dead_letter import DeadLetter, ReplayReport, from_json, to_json
from shared.core.errors import CannotArchive, ClientStateMismatch, MalformedContent, MalformedNotification, Unavailable
from shared.core.inbox_name import LIFECYCLE
from shared.core.instants import format_instant
from shared.core.metrics import DEAD_LETTERS_PARKED
from shared.core.notification import parse_lifecycle_item
from shared.flows.archive import Archiving
from shared.flows.rest import Outcome
from shared.ports import SILENCE, Clock, Container, Telemetry

logger = logging.getLogger(__name__)

# One call of the admin route must end before the platform's front end gives up on it after 230 seconds
# (https://learn.microsoft.com/azure/azure-functions/functions-scale#timeout).
MAX_PER_RUN = 5000
# Where in place of a post's name it says that the export showed the item.
EXPORTED = "exports/"
TIME_PER_RUN = timedelta(seconds=150)


def park(container: Container, letter: DeadLetter, telemetry: Telemetry = SILENCE) -> None:
    """Keep what can't be archived. Parking the same item again changes nothing. Raises StorageUnavailable."""
    name = dead_letter_name(letter.reason, letter.received_at, letter.fingerprint)
    metadata = {"reason": letter.reason, "receivedat": format_instant(letter.received_at)}
    if container.create(name, to_json(letter), metadata):
        logger.warning("dead letter %s: %s", name, letter.detail, extra={"dead_letter": name, "reason": letter.reason})
        telemetry.measure(DEAD_LETTERS_PARKED, 1, reason=letter.reason)


@dataclass(frozen=True, slots=True)
class Replaying:
    """Tries dead letters again. Idempotent: the archive is a set, and a letter goes only once its item is at rest."""

    dead_letters: Container
    archiving: Archiving
    clock: Clock
    telemetry: Telemetry = SILENCE

    def replay(self, reason: str | None) -> ReplayReport:
        """Try all letters again, or those of one reason.

        Trouble that is not the letters' own ends the run and is told in ``postponed``; every letter stays as it is.
        """
        report = ReplayReport()
        until = self.clock() + TIME_PER_RUN
        # Named before the first is tried: a letter that moves to another reason must not be met again in this run.
        try:
            names = list(islice(self.dead_letters.names(f"{reason}/" if reason else ""), MAX_PER_RUN + 1))
            report.complete = len(names) <= MAX_PER_RUN
            for name in names[:MAX_PER_RUN]:
                if self.clock() >= until:
                    report.complete = False
                    break
                self._replay_one(name, report)
        except Unavailable as error:
            # The next letters would meet the same trouble; the operator is told and calls again.
            report.postponed, report.complete = str(error), False
        return report

    def _replay_one(self, name: str, report: ReplayReport) -> None:
        blob = self.dead_letters.read(name)
        if blob is None:
            return  # another replay was quicker
        try:
            letter = from_json(blob.content)
        except MalformedNotification:
            # Not ours to delete: somebody put it there, and the count tells that it is.
            report.unreadable += 1
            return
        try:
            with self.telemetry.span("replay", dead_letter=name, post=letter.post):
                report.outcomes[self._try_again(letter)] += 1
        except CannotArchive as error:
            report.still_dead[error.reason] += 1
            self._keep(name, blob.etag, letter, error)
        else:
            self.dead_letters.delete(name, blob.etag)

    def _try_again(self, letter: DeadLetter) -> str:
        # The others carried our clientState when they came; the secret may have changed since.
        if letter.reason == ClientStateMismatch.reason:
            self.archiving.check_client_state(letter.item)
        if letter.post.startswith(f"{LIFECYCLE}/"):
            # A hint is not archived. If it is understood now, it is also old: Graph is looked at every five minutes.
            parse_lifecycle_item(letter.item)
            return Outcome.DUPLICATE.value
        if letter.post.startswith(EXPORTED):
            # No notification, and what the export showed it shows again: there is nothing to try.
            raise MalformedContent(letter.detail)
        provenance = self.archiving.provenance(letter.validation_tokens, letter.received_at)
        return self.archiving.archive(letter.item, provenance).value

    def _keep(self, name: str, etag: str, letter: DeadLetter, error: CannotArchive) -> None:
        tried = replace(letter, reason=error.reason, detail=str(error), attempts=letter.attempts + 1)
        if error.reason == letter.reason:
            self.dead_letters.replace(name, to_json(tried), etag)
            return
        park(self.dead_letters, tried, self.telemetry)
        self.dead_letters.delete(name, etag)
