"""How the export of interactions behaves: data that a test may exchange while Graph runs.

What is published: https://learn.microsoft.com/microsoft-365/copilot/extensibility/api/ai-services/interaction-export/aiinteractionhistory-getallenterpriseinteractions
"""

from dataclasses import dataclass, fields
from typing import Any, Self

_WHOLE = ("default_page", "largest_page")
_SECONDS = ("mean_delay", "longest_delay", "token_life", "slow_seconds", "grace", "longest_wait")


@dataclass(frozen=True)
class ExportPolicy:
    """Rates between 0 and 1, seconds, and switches. The defaults are nasty; `friendly()` is not.

    Pages: `default_page` (the published sample's 10) and `largest_page` (not published) bound `$top`; rates of pages
    that are cut `short`, that are `empty` and lead on, that begin with rows which were shown (`repeated`), and that
    are `counted`. `token_life`: how long a `$skiptoken` holds. `variants`: items in another form than the
    notification's.

    Times: interactions show up `mean_delay` seconds of Graph's stopwatch after they happened, on average, and after
    `longest_delay` at the latest. `slow_seconds` is what slow users cost.

    Refusals: rates of `error_500`, `error_503`, `error_429`. Of all Retry-After, rates are an HTTP date (`retry_date`),
    nonsense (`retry_malformed`) or left out (`retry_missing`); a random one is up to `longest_wait` seconds. Who sends
    later than `grace` real seconds after a 429, and before its time, breaks a rule.

    Switches: the tenant refuses `$filter` (`refuse_filter`), date and appClass together (`refuse_combination`), the
    filter for a plan in `/users` (`refuse_plan_filter`); former holders of a licence are served (`serve_former`); the
    whole tenant can be exported (`tenant_export`); single interactions can be got (`interaction_get`).
    """

    default_page: int = 10
    largest_page: int = 100
    short: float = 0.15
    empty: float = 0.1
    repeated: float = 0.1
    counted: float = 0.3
    variants: float = 0.5
    token_life: float = 3600.0
    mean_delay: float = 1.0
    longest_delay: float = 10.0
    slow_seconds: float = 5.0
    error_500: float = 0.01
    error_503: float = 0.01
    error_429: float = 0.01
    retry_date: float = 0.15
    retry_malformed: float = 0.05
    retry_missing: float = 0.05
    longest_wait: float = 3.0
    grace: float = 0.25
    refuse_filter: bool = False
    refuse_combination: bool = False
    refuse_plan_filter: bool = False
    serve_former: bool = False
    tenant_export: bool = False
    interaction_get: bool = False

    def __post_init__(self) -> None:
        for each in fields(self):
            _check(each.name, getattr(self, each.name))
        if self.retry_date + self.retry_malformed + self.retry_missing > 1:
            raise ValueError("the rates of retry_date, retry_malformed and retry_missing are more than 1 together")
        if self.default_page > self.largest_page:
            raise ValueError("default_page must not be above largest_page")

    @classmethod
    def friendly(cls, **changed: Any) -> Self:  # noqa: ANN401 - of the type of the field
        """Return no faults: everything at once, in full pages and in the notification's form; with what is named."""
        rates = ("short", "empty", "repeated", "counted", "variants", "retry_date", "retry_malformed", "retry_missing")
        errors = ("error_500", "error_503", "error_429")
        calm = dict.fromkeys((*rates, *errors, "mean_delay", "longest_delay"), 0.0)
        return cls(**{**calm, **changed})

    @classmethod
    def read(cls, values: dict[str, Any]) -> Self:
        """Return a policy from JSON; what is not named keeps its default, or is friendly with `friendly`.

        Raises:
            ValueError: an unknown name or a value out of range.
        """
        rest = dict(values)
        friendly = rest.pop("friendly", False)
        if unknown := set(rest) - {each.name for each in fields(cls)}:
            raise ValueError(f"unknown names: {', '.join(sorted(unknown))}")
        return cls.friendly(**rest) if friendly is True else cls(**rest)


def _check(name: str, value: object) -> None:
    switch = isinstance(getattr(ExportPolicy, name), bool)
    if switch != isinstance(value, bool):
        raise ValueError(f"{name} cannot be {value!r}")
    if isinstance(value, bool):
        return
    if not isinstance(value, int | float) or value < 0:
        raise ValueError(f"{name} must be a number from 0, not {value!r}")
    if name in _WHOLE:
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number from 1, not {value!r}")
    elif name not in _SECONDS and value > 1:
        raise ValueError(f"{name} must be between 0 and 1, not {value!r}")
