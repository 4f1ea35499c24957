"""The loop that anybody would write: requests and json, and nothing else.

``python -m benchmarks.export_bare ORIGIN``
"""

import sys
import time

import requests
from requests.adapters import HTTPAdapter

from benchmarks.export_turns import AT_ONCE, FILTER, Pull, in_threads, serve_turns


def bare(origin: str) -> Pull:
    """All pages of each user, in a thread of his own."""
    session = requests.Session()
    session.mount("https://", HTTPAdapter(pool_maxsize=AT_ONCE))

    def pull(user: str) -> int:
        done = 0
        url = f"{origin}/v1.0/copilot/users/{user}/interactionHistory/getAllEnterpriseInteractions"
        query: dict[str, str] | None = {"$top": "100", "$filter": FILTER}
        while url:
            answer = session.get(url, params=query, headers={"Authorization": "Bearer benchmark"}, timeout=40)
            if answer.status_code == 429:
                time.sleep(int(answer.headers["Retry-After"]))
                continue
            answer.raise_for_status()
            page = answer.json()
            done += len(page["value"])
            url, query = page.get("@odata.nextLink"), None
        return done

    return in_threads(pull)


if __name__ == "__main__":
    serve_turns(bare(sys.argv[1]))
