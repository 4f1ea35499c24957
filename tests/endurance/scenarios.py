"""What is attacked: a state of storage and cloud, the function that is run in it, and what must be true in the end.

A scenario is prepared once, by the app itself and in good weather; each case starts from a copy. To add one: a function
that prepares and returns a ``Scenario``, and a row here.
"""

from collections.abc import Callable
from functools import partial

from tests.endurance import export_scenarios as exports
from tests.endurance import post_scenarios as posts
from tests.endurance import subscription_scenarios as subscriptions
from tests.endurance.scenario import Scenario
from tests.endurance.stage import Stage

SCENARIOS: dict[str, Callable[[Stage], Scenario]] = {
    "receive": posts.receiving,
    "receive hint": posts.receiving_hint,
    "store": posts.storing,
    "store first": posts.storing_first,
    "store forged": posts.storing_forged,
    "store deletions": posts.storing_deletions,
    "store chats": posts.storing_chats,
    "store basic": posts.storing_basic,
    "sweep": posts.sweeping,
    "replay": posts.replaying,
    "look": posts.looking,
    "renew": subscriptions.renewing,
    "unwant": subscriptions.unwanting,
    "rotate": subscriptions.rotating,
    "rotate strictly": partial(subscriptions.rotating, strictly=True),
    "heed": subscriptions.heeding,
    "heed challenge": subscriptions.heeding_challenge,
    "heed missed": subscriptions.heeding_missed,
    "plan": exports.planning,
    "plan tenant": exports.planning_tenant,
    "export": exports.exporting,
    "export tenant": exports.exporting_tenant,
    "export pages": exports.exporting_pages,
    "export tokens end": exports.exporting_without_tokens,
    "close gaps": exports.closing_gaps,
}
