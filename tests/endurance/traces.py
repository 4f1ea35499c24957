"""What an attacked process has left behind, as far as it can be told from outside: the writes that reached anybody.

Two runs from the same state that got the same writes answered in the same way have left the same behind, wherever each
of them ended. What follows the attack starts from nothing else, so it need be seen once.
"""

import base64
import hashlib
import re
from collections.abc import Iterable

from tests.endurance.proxy import Call, Done

Trace = tuple[tuple[str, ...], ...]

REFUSED = 400
# Names and times that differ from run to run, and nothing else does.
_UNIQUE = re.compile(
    rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    rb"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"
    rb"|\d{4}/\d\d/\d\d/\d\d/"
    rb"|00-[0-9a-f]{32}-[0-9a-f]{16}-0"
    rb"|\b\d{13}\b"
)
_METADATA = re.compile(rb"(?im)^x-ms-meta-[^\r\n]*")
_MESSAGE = re.compile(rb"<MessageText>([^<]*)</MessageText>")


def trace(done: Iterable[Done]) -> Trace:
    """The writes, in order: what was asked of whom, with what, and with which success. Refused ones change nothing."""
    return tuple(_mark(each) for each in done if each.status < REFUSED and not each.call.is_read)


def what(call: Call) -> str:
    """A call by what it asks for: the same for all cases of a scenario, and for repeats of it."""
    path = call.path.partition("?")[0].encode()
    if call.gate != "cloud":
        path = b"/".join(path.split(b"/")[2:])  # without the case's account
    return f"{call.gate} {call.method} {_UNIQUE.sub(b'*', path).decode()}"


def _mark(done: Done) -> tuple[str, ...]:
    message = _MESSAGE.search(done.request.body)
    body = base64.b64decode(message[1]) if message else done.request.body
    said = b"\n".join([*_METADATA.findall(done.request.head), body])
    return what(done.call), str(done.status), hashlib.sha256(_UNIQUE.sub(b"*", said)).hexdigest()
