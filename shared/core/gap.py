"""Hours of a resource that no notification vouches for, and where they are noted in the container ``state``."""

from dataclasses import dataclass
from datetime import datetime

GAPS = "gaps/"
# Where the notes of gaps go that the export has filled, and those that nothing fills.
EXPORTED_GAPS = "gaps-exported/"
LOST_GAPS = "gaps-lost/"
# The reason of a gap that is one notification's without content, and not an absence.
WITHOUT_CONTENT = "notifications came without content"


@dataclass(frozen=True, slots=True)
class Gap:
    """Hours of a resource that no notification vouches for."""

    resource: str
    begin: datetime
    end: datetime
    reason: str
