"""Graph's export of Copilot interactions, page by page.

https://learn.microsoft.com/microsoft-365-copilot/extensibility/api/ai-services/interaction-export/aiinteractionhistory-getallenterpriseinteractions
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urlsplit

from shared.adapters.graph_http import Answer, GraphHttp, has_origin, page_of
from shared.core.errors import GraphUnavailable
from shared.core.export_window import PAGE_SIZE
from shared.ports import ExportPage

# Graph writes a key in both ways, and a function with parentheses or without.
_PATH = re.compile(
    r"/copilot(?:/users(?:/([^/'()]+)|\('([^/'()]+)'\)))?"
    r"/interactionHistory/(?:microsoft\.graph\.)?getAllEnterpriseInteractions(?:\(\))?",
    re.ASCII | re.IGNORECASE,
)
_TENANT = ""
# The one form of a date that HTTP still lets anybody write: https://www.rfc-editor.org/rfc/rfc9110#http.date
_HTTP_DATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} "
    r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [12]\d{3} \d{2}:\d{2}:\d{2} GMT",
    re.ASCII,
)


class GraphExports:
    """The Exports port on the session that all requests to Graph share."""

    def __init__(self, http: GraphHttp) -> None:
        self._http = http

    def first_page(self, user_id: str | None, query: str | None) -> ExportPage:
        """See the port. What Graph does not document for this request is not sent."""
        of = "" if user_id is None else f"/users/{quote(user_id, safe='')}"
        url = self._http.url(f"copilot{of}/interactionHistory/getAllEnterpriseInteractions?$top={PAGE_SIZE}")
        if query is not None:
            url += f"&$filter={quote(query, safe='')}"
        return self._page(url, (user_id or _TENANT).lower())

    def next_page(self, link: str) -> ExportPage:
        """See the port. All that changes on the way is the case of ``%3d``, which means the same in any."""
        whose = self._whose(link)
        if whose is None:
            raise GraphUnavailable("export interactions: the next page is elsewhere; it is not followed")
        return self._page(link, whose)

    def _page(self, url: str, whose: str) -> ExportPage:
        what = f"export interactions of user {whose}" if whose else "export interactions of the tenant"
        answer = self._http.ask("GET", url, what)
        items, link = page_of(answer.document, what)
        if link is not None and not isinstance(link, str):
            raise GraphUnavailable(f"{what}: the next page is nowhere; it is exported again")
        if link is not None and self._whose(link) not in (whose, None):
            # Then nobody knows whose these are. One that leads elsewhere stops the walk after this page.
            raise GraphUnavailable(f"{what}: the next page is another's; it is exported again")
        return ExportPage(items, link, self._graph_now(answer))

    def _whose(self, link: str) -> str | None:
        """The user whose export a link belongs to, in lower case, nothing for the tenant's; None where it is no such.

        A link gets our token: it leads to where we ask ourselves, or nowhere.
        """
        version = self._http.url("").rstrip("/")
        if not has_origin(link, version):
            return None
        path, base = urlsplit(link).path, urlsplit(version).path
        found = _PATH.fullmatch(path[len(base) :]) if path.startswith(base) else None
        return None if found is None else (found[1] or found[2] or _TENANT).lower()

    def _graph_now(self, answer: Answer) -> datetime:
        return http_date(answer.headers.get("Date")) or self._http.clock()


def http_date(text: str | None) -> datetime | None:
    """The instant of a ``Date`` header, None for what is not exactly one."""
    if text is None or not _HTTP_DATE.fullmatch(text):
        return None
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:  # the 31st of February
        return None
