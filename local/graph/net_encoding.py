"""Query values as .NET writes them, and with it Graph in its links: spaces as `+`, escapes in lower case."""

import re
from urllib.parse import quote_plus

_ESCAPE = re.compile("%[0-9A-F]{2}")


def url_encoded(text: str) -> str:
    """Return a text for a query: `$skiptoken=…%3d%3d`, `$filter=appClass+eq+%27…%27`."""
    return _ESCAPE.sub(lambda found: found[0].lower(), quote_plus(text, safe="()!*"))
