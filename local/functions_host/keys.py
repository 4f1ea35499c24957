"""Who may call: function keys and the master key.

https://learn.microsoft.com/azure/azure-functions/function-keys-how-to
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

HEADER = "x-functions-key"
PARAMETER = "code"


@dataclass(frozen=True)
class Keys:
    """The keys of the settings file; a level whose keys are not set lets every caller pass, as Core Tools does."""

    function: str | None = field(default=None, repr=False)
    master: str | None = field(default=None, repr=False)

    def allow(self, level: str, headers: Mapping[str, str], query: Mapping[str, str]) -> bool:
        """Whether a call at `level` (anonymous, function, admin) may pass. A header, even a wrong one, goes first."""
        expected = self._expected(level)
        if not expected:
            return True
        given = (headers.get(HEADER) or query.get(PARAMETER) or "").encode()
        # Every key is compared, so that time does not say which one was close.
        return sum(hmac.compare_digest(given, key.encode()) for key in expected) > 0

    def allow_admin_route(self, headers: Mapping[str, str], query: Mapping[str, str]) -> bool:
        """Whether `/admin` may be used: the master key, where there is one."""
        return self.master is None or self.allow("admin", headers, query)

    def _expected(self, level: str) -> list[str]:
        if level == "anonymous":
            return []
        if level == "admin" and self.master:
            return [self.master]
        if self.function is None:
            return []
        return [key for key in (self.function, self.master) if key]
