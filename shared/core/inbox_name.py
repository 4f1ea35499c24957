"""Names of posts in the inbox: ``{queue}/{yyyy}/{MM}/{dd}/{HH}/{uuid}.json``, made here and read strictly.

The queue carries such a name back to us. Whoever can write to the queue must not be able to point the worker elsewhere.
"""

import re
import uuid
from datetime import UTC, datetime

NOTIFICATIONS = "notifications"
LIFECYCLE = "lifecycle"
QUEUES = (NOTIFICATIONS, LIFECYCLE)

_NAME = re.compile(
    rf"(?:{'|'.join(QUEUES)})/\d{{4}}/\d{{2}}/\d{{2}}/\d{{2}}"
    r"/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\.json",
    re.ASCII,
)


def inbox_name(queue: str, received_at: datetime, unique: uuid.UUID) -> str:
    """The name under which a post waits for the worker of ``queue``."""
    return f"{queue}/{received_at.astimezone(UTC):%Y/%m/%d/%H}/{unique}.json"


def is_inbox_name(text: str) -> bool:
    """Whether the text is a name that ``inbox_name`` makes."""
    return _NAME.fullmatch(text) is not None
