"""The ways in which one call is spoilt."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from tests.endurance.proxy import Call, Effect, Fault, Plan

Reach = Literal["once", "again", "all"]


@dataclass(frozen=True, slots=True)
class Spoiler:
    """A way to spoil call number k.

    ``reach`` is what goes with it: nothing, each try to call the same ``again``, or ``all`` that follows; these are
    refused until the process ends. ``meets``: the calls that it is tried at.
    """

    name: str
    fault: Fault
    reach: Reach = "once"
    meets: Callable[[Call], bool] = lambda _: True

    def at(self, number: int) -> Plan:
        """The plan that spoils that call."""
        spoilt: list[tuple[str, str, str]] = []

        def plan(call: Call) -> Fault | None:
            same = call.gate, call.method, call.path
            if call.number == number:
                spoilt.append(same)
                return self.fault
            return Fault(Effect.REFUSE) if reaches(call, same in spoilt) else None

        reaches: Callable[[Call, bool], bool] = {
            "once": lambda *_: False,
            "again": lambda _, same: same,
            "all": lambda call, _: call.number > number,
        }[self.reach]
        return plan


EVERYWHERE = (
    Spoiler("killed before", Fault(Effect.KILL_BEFORE)),
    Spoiler("killed after the answer", Fault(Effect.KILL_ANSWERED)),
    Spoiler("killed after relaying", Fault(Effect.KILL_RELAYED)),
    Spoiler("acknowledgement lost", Fault(Effect.LOSE)),
    Spoiler("refused at each try", Fault(Effect.REFUSE), "again"),
)
OTHERS = (
    Spoiler("acknowledgement lost, then refused at each try", Fault(Effect.LOSE), "again"),
    Spoiler("acknowledgement lost, then nothing works", Fault(Effect.LOSE), "all"),
    Spoiler("nothing works from here", Fault(Effect.REFUSE), "all"),
    Spoiler("refused once", Fault(Effect.REFUSE)),
    Spoiler("cut", Fault(Effect.CUT)),
    Spoiler("cut, then nothing works", Fault(Effect.CUT), "all"),
    Spoiler("answered 503", Fault(Effect.STATUS, 503)),
    Spoiler("answered 503, then nothing works", Fault(Effect.STATUS, 503), "all"),
    Spoiler("answered 429", Fault(Effect.STATUS, 429)),
    Spoiler("answered 507", Fault(Effect.STATUS, 507)),
    Spoiler("answered 403", Fault(Effect.STATUS, 403)),
)
LONG = (*EVERYWHERE, *OTHERS)

# Nothing gets out of a killed process: killed after the answer to one call, after it was relayed, or before the next,
# it leaves the same behind, and what it has only read changes nothing. So each place between two writes is tried once,
# and the ways take turns. A read whose answer is lost is sent again, as if nothing had been, or fails, as if refused.
_BEFORE, _ANSWERED, _RELAYED, _LOST, _REFUSED = EVERYWHERE
SHORT = (
    replace(_BEFORE, meets=lambda call: call.number == 0),
    replace(_ANSWERED, meets=lambda call: not call.is_read and call.number % 2 == 0),
    replace(_RELAYED, meets=lambda call: not call.is_read and call.number % 2 == 1),
    replace(_LOST, meets=lambda call: not call.is_read),
    _REFUSED,
)
