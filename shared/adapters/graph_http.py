"""Requests to Microsoft Graph as the app itself: one session, one token, one idea of where that token may go.

https://learn.microsoft.com/graph/best-practices-concept for the headers. Nothing is retried here but pages of long
lists, and least of all by urllib3: it would repeat a throttled GET without telling anybody, sleep through a
``Retry-After`` of hours in each thread by itself, and never repeat a POST. Whoever calls knows whether to do it twice,
and the pace is the tenant's.

Threads share the session. What requests does not promise about that is its cookies, and there are none; connections
come from urllib3's pools, which are made for it (https://urllib3.readthedocs.io/en/stable/advanced-usage.html).
"""

import json
import logging
import random
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urlsplit

import requests
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from shared.core.errors import GraphUnavailable
from shared.core.graph_fault import fault, pause
from shared.core.metrics import DEPENDENCY_FAILURES
from shared.ports import SILENCE, Clock, Telemetry

logger = logging.getLogger(__name__)

# To connect, and between two pieces of an answer: a creation waits for two handshakes of up to ten seconds each.
TIMEOUT_SECONDS = (5, 40)
# An answer that drips in piece by piece is none. A page of a hundred interactions takes a second.
LONGEST_ANSWER_SECONDS = 120
# A page of a hundred interactions has 0.4 MB, and one with the longest answers a few.
MAX_BYTES = 64 * 1024 * 1024
# As many connections as a process has workers: the host's thread pool has no more.
CONNECTIONS = 32
MAX_PAGES = 1_000
# A list of hundreds of pages would hardly come to its end if each page had one try.
TRIES = 5
LONGEST_WAIT = timedelta(minutes=1)
# As SharePoint wants it, and Graph does not mind:
# https://learn.microsoft.com/sharepoint/dev/general-development/how-to-avoid-getting-throttled-or-blocked-in-sharepoint-online
USER_AGENT = "NONISV|CopilotInteractionArchive|CopilotInteractionArchive/0.1"

_NOTHING: Mapping[str, str] = {}
_PIECE = 256 * 1024
_DOTS = re.compile(r"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)
_HARMLESS = re.compile(r"[A-Za-z0-9 ,:._-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Answer:
    """A success of Graph's. ``document`` is what the content says, None where it is no JSON."""

    content: bytes
    document: object
    headers: Mapping[str, str]


class GraphHttp:
    """``endpoint`` is the cloud's origin, ``version`` is v1.0 or beta."""

    def __init__(
        self, endpoint: str, version: str, credential: TokenCredential, clock: Clock, telemetry: Telemetry = SILENCE
    ) -> None:
        self.clock = clock
        self.sleep: Callable[[float], None] = time.sleep
        self._endpoint = endpoint.rstrip("/")
        self._version = version
        self._credential = credential
        self._telemetry = telemetry
        self._session = _session()

    def token(self) -> str:
        """The app's token for Graph; azure-identity keeps it until shortly before its end."""
        try:
            return self._credential.get_token(f"{self._endpoint}/.default").token
        except AzureError as error:
            self._telemetry.measure(DEPENDENCY_FAILURES, 1, dependency="graph")
            raise GraphUnavailable(
                f"Entra ID gives no token for Graph ({type(error).__name__}); check the app registration's credential",
                timedelta(minutes=1),
            ) from error

    def url(self, path: str) -> str:
        """Where a path below the API version is."""
        return f"{self._endpoint}/{self._version}/{path}"

    def checked(self, link: object, what: str) -> str:
        """A nextLink, which gets our token: only to the host that we asked, over https, below the API version."""
        if not isinstance(link, str) or not _is_below(link, self.url("")):
            raise GraphUnavailable(f"{what}: the next page is elsewhere; it is not followed")
        return link

    def pages(self, path: str, what: str, headers: Mapping[str, str] = _NOTHING, *, tries: int = 1) -> Iterator[object]:
        """All values of a collection, fetched page by page, each with so many tries."""
        url: str | None = self.url(path)
        seen: set[str] = set()
        while url is not None:
            if url in seen or len(seen) >= MAX_PAGES:
                raise GraphUnavailable(f"{what}: the pages go in circles; it is looked at again")
            seen.add(url)
            values, following = page_of(self._patiently(url, what, headers, tries).document, what)
            yield from values
            url = None if following is None else self.checked(following, what)

    def _patiently(self, url: str, what: str, headers: Mapping[str, str], tries: int) -> Answer:
        for attempt in range(1, tries):
            try:
                return self.ask("GET", url, what, headers=headers)
            except GraphUnavailable as error:
                if error.retry_after > LONGEST_WAIT:
                    raise
                # Jitter is for spreading, not for secrets.
                jitter = random.uniform(0.5, 1.5)  # noqa: S311 - see above
                self.sleep(pause(attempt, error.retry_after, jitter).total_seconds())
        return self.ask("GET", url, what, headers=headers)

    def ask(
        self,
        method: str,
        url: str,
        what: str,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] = _NOTHING,
    ) -> Answer:
        """One request, and its answer as far as that is a success; ``what`` tells people what was asked.

        Raises GraphUnavailable, GraphNotFound, GraphConflict or GraphRefused.
        """
        bearer = _Bearer(self.token())
        client_request_id = str(uuid.uuid4())
        sent = {"client-request-id": client_request_id, **headers}
        with self._telemetry.span(f"graph {method}", dependency="graph", client_request_id=client_request_id):
            try:
                answer = self._session.request(
                    method,
                    url,
                    json=body,
                    headers=sent,
                    auth=bearer,
                    timeout=TIMEOUT_SECONDS,
                    allow_redirects=False,
                    stream=True,
                )
                with closing(answer):
                    self._note(answer)
                    content = _read(answer, what)
            except (requests.RequestException, HTTPError, OSError) as error:
                logger.warning("%s: no answer; client-request-id %s", what, client_request_id)
                self._telemetry.measure(DEPENDENCY_FAILURES, 1, dependency="graph")
                # It may have been done all the same: whoever asked for a change looks before asking again.
                raise GraphUnavailable(f"{what}: no answer ({type(error).__name__}); it is looked at again") from error
            return self._judged(answer, content, what, client_request_id)

    def _judged(self, answer: requests.Response, content: bytes, what: str, client_request_id: str) -> Answer:
        document = _json(content)
        if 200 <= answer.status_code < 300:
            return Answer(content, document, answer.headers)
        logger.warning(
            "%s: %d; client-request-id %s, request-id %s, Date %s",
            what,
            answer.status_code,
            client_request_id,
            _shown(answer.headers.get("request-id")),
            _shown(answer.headers.get("Date")),
        )
        error = fault(answer.status_code, document, answer.headers, what, self.clock())
        if isinstance(error, GraphUnavailable):
            self._telemetry.measure(DEPENDENCY_FAILURES, 1, dependency="graph")
        raise error

    def _note(self, answer: requests.Response) -> None:
        self._telemetry.note(status=answer.status_code, request_id=_shown(answer.headers.get("request-id")))


def page_of(document: object, what: str) -> tuple[list[object], object]:
    """The values of a page, and its nextLink as it is, None where there is none."""
    values = document.get("value") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(values, list):
        # A page of a proxy in between, say. Read as "none", it would have everything made, deleted or lost.
        raise GraphUnavailable(f"{what}: the answer is no list; it is looked at again")
    return values, document.get("@odata.nextLink")


def has_origin(link: str, ours: str) -> bool:
    """Whether a link leads to the scheme, host and port of a URL of ours, and means what it says."""
    try:
        theirs, base = urlsplit(link), urlsplit(ours)
    except ValueError:
        return False
    same = (theirs.scheme, theirs.netloc.lower()) == (base.scheme, base.netloc.lower())
    # What one reader of URLs drops or resolves, another may not.
    return same and link.isascii() and link.isprintable() and " " not in link and not _DOTS.search(theirs.path)


class _Bearer(AuthBase):
    """Our token. Given as a header alone, requests would put what a ``.netrc`` has for the host in its place."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _session() -> requests.Session:
    session = requests.Session()
    session.headers["User-Agent"] = USER_AGENT
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=CONNECTIONS, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _read(answer: requests.Response, what: str) -> bytes:
    """The whole body, unpacked as it arrives, while it is neither too large nor too slow."""
    give_up = time.monotonic() + LONGEST_ANSWER_SECONDS
    content = bytearray()
    # Unlike ``read``, this returns with what there is, so that the two limits are looked at in between.
    while piece := answer.raw.read1(_PIECE, decode_content=True):
        content += piece
        if len(content) > MAX_BYTES:
            raise GraphUnavailable(f"{what}: the answer has more than {MAX_BYTES // 2**20} MiB; it is not read further")
        if time.monotonic() > give_up:
            raise GraphUnavailable(f"{what}: the answer takes over {LONGEST_ANSWER_SECONDS} s; it is asked for again")
    return bytes(content)


def _is_below(link: str, base: str) -> bool:
    return has_origin(link, base) and urlsplit(link).path.startswith(urlsplit(base).path)


def _json(content: bytes) -> object:
    try:
        return json.loads(content) if content else None
    except (ValueError, RecursionError):
        return None  # an answer of a proxy in between; its status tells enough


def _shown(header: str | None) -> str:
    # A header is somebody's text, and a line of our log is ours.
    return header if header is not None and _HARMLESS.fullmatch(header) else "unknown"
