"""How much Graph gives and how strict it is: data that a test may change while Graph runs.

Rates: https://learn.microsoft.com/graph/throttling-limits#microsoft-graph-change-notifications
Quotas: https://learn.microsoft.com/graph/change-notifications-overview#supported-resources
"""

from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, Self

from local.graph.export_policy import ExportPolicy

_SECONDS = ("window", "export_window")


@dataclass(frozen=True)
class Limits:
    """Requests of an application in a tenant within `window` seconds, quotas of subscriptions, and page sizes.

    `write` is for create, patch and delete together, `get` for one subscription by id, `list` for the list. `export`
    is for the export alone, within `export_window` seconds of real time.
    """

    window: float = 20.0
    write: int = 500
    get: int = 500
    list: int = 25
    reauthorize: int = 1000
    per_user: int = 10
    per_organisation: int = 10_000
    page: int = 100
    export: int = 30
    export_window: float = 1.0

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
                raise ValueError(f"{each.name} must be a number above 0, not {value!r}")
            if each.name not in _SECONDS and not isinstance(value, int):
                raise ValueError(f"{each.name} must be a whole number, not {value!r}")

    @classmethod
    def read(cls, values: dict[str, Any]) -> Self:
        """Return limits from JSON; what is not named is as documented.

        Raises:
            ValueError: an unknown name or a value out of range.
        """
        if unknown := set(values) - {each.name for each in fields(cls)}:
            raise ValueError(f"unknown limits: {', '.join(sorted(unknown))}")
        return cls(**values)


@dataclass
class Policy:
    """What holds now.

    `strict_patch` refuses a new encryption certificate in a PATCH, as the property table of its page has it.
    `patience` is how long deliveries go on after a `reauthorizationRequired` that nobody answered; the time is not
    published. `licensed_users` is how many people of the tenant hold a Copilot licence.
    """

    limits: Limits = field(default_factory=Limits)
    strict_patch: bool = False
    patience: timedelta = timedelta(hours=1)
    licensed_users: int = 25
    export: ExportPolicy = field(default_factory=ExportPolicy)
