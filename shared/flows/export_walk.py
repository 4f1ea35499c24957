"""The pages of a window, one after the other as Graph links them, at the pace that the tenant has left.

Pages may be short or empty and still have a next one; rows shift while they are walked, so some come twice
(https://learn.microsoft.com/graph/paging). Nothing but the current page is held.
"""

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.core.errors import GraphNotFound, GraphRefused, GraphUnavailable, PageTokensEnded
from shared.core.export_window import date_filter
from shared.core.graph_fault import pause
from shared.core.metrics import EXPORT_REQUESTS
from shared.ports import SILENCE, ExportPage, Exports, Pace, Telemetry

logger = logging.getLogger(__name__)

# A hundred interactions to a page: nobody has so many. Links that go on for ever end here.
MAX_PAGES = 5_000
# How often one request is sent again here, before the window goes back to the queue.
TRIES = 4
# What is asked of us beyond this is waited for on the queue, where it holds nobody up.
LONGEST_WAIT = timedelta(seconds=20)
# Page tokens end at some time, nobody says when. Who starts a third time takes smaller steps instead.
RESTARTS = 2


@dataclass(slots=True)
class Walk:
    """Walks one user's pages, or the tenant's. ``requests`` counts what it took so far."""

    exports: Exports
    pace: Pace
    user_id: str | None
    app_classes: Sequence[str]
    sleep: Callable[[float], None]
    telemetry: Telemetry = SILENCE
    requests: int = 0

    def pages(self, begin: datetime, end: datetime) -> Iterator[ExportPage]:
        """All pages of a window, some rows twice.

        Raises GraphNotFound or GraphRefused for a user whom Graph does not serve, GraphUnavailable for now,
        PageTokensEnded among it.
        """
        for _ in range(RESTARTS + 1):
            page: ExportPage | None = self._first(begin, end)
            links: set[str] = set()
            while page is not None:
                yield page
                link = page.next_link
                if link is None:
                    return
                if link in links or len(links) >= MAX_PAGES:
                    raise GraphUnavailable(f"{self._what}: the pages go in circles; it is exported again")
                links.add(link)
                page = self._next(link)
            logger.warning("%s: Graph does not take its page token any more; the window starts again", self._what)
        raise PageTokensEnded(f"{self._what}: page tokens end before the pages do; it is exported in smaller steps")

    @property
    def _what(self) -> str:
        return "the tenant's interactions" if self.user_id is None else f"interactions of user {self.user_id}"

    def _first(self, begin: datetime, end: datetime) -> ExportPage:
        query = date_filter(begin, end, self.app_classes)
        try:
            return self._patiently(lambda: self.exports.first_page(self.user_id, query))
        except GraphRefused as error:
            if error.status != 400:
                raise
        # Some tenants' backends know no filter: then all is read, and what was not asked for is left out by the caller.
        logger.warning("%s: Graph refuses the filter; all of them are read", self._what)
        return self._patiently(lambda: self.exports.first_page(self.user_id, None))

    def _next(self, link: str) -> ExportPage | None:
        """The next page, None where Graph does not know the way any more."""
        try:
            return self._patiently(lambda: self.exports.next_page(link))
        except (GraphRefused, GraphNotFound) as error:
            if isinstance(error, GraphRefused) and error.status == 403:
                raise
            return None

    def _patiently(self, ask: Callable[[], ExportPage]) -> ExportPage:
        for attempt in range(1, TRIES + 1):
            self.pace.wait()
            self.requests += 1
            try:
                page = ask()
            except GraphUnavailable as error:
                self.telemetry.measure(EXPORT_REQUESTS, 1, answer="429" if error.throttled else "unavailable")
                if error.throttled:
                    # Told to all instances: the limit is the tenant's.
                    self.pace.hold(error.retry_after)
                if attempt == TRIES or error.retry_after > LONGEST_WAIT:
                    raise
                if not error.throttled:
                    # Jitter is for spreading, not for secrets.
                    jitter = random.uniform(0.5, 1.5)  # noqa: S311 - see above
                    self.sleep(pause(attempt, error.retry_after, jitter).total_seconds())
            except (GraphRefused, GraphNotFound):
                self.telemetry.measure(EXPORT_REQUESTS, 1, answer="refused")
                raise
            else:
                self.telemetry.measure(EXPORT_REQUESTS, 1, answer="200")
                return page
        raise AssertionError  # the last try returned or raised
