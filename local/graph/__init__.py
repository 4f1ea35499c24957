"""A simulated Microsoft Graph, with the parts of Entra ID and Key Vault that an app for change notifications needs.

Strict as the real one, and nastier than it is on most days. It shares no code with the app: it is the other side.
Begin with `Simulator`, or `run_in_thread` where there is no event loop; docs/graph-simulator.md tells the rest.
"""

from local.graph.clock import Clock, VirtualClock
from local.graph.export_policy import ExportPolicy
from local.graph.faults import Faults, Timing
from local.graph.forgeries import FORGERIES
from local.graph.ledger import Ledger
from local.graph.operator_app import SubscriptionRefused
from local.graph.policy import Limits
from local.graph.simulator import Simulator
from local.graph.threaded import ThreadedSimulator, run_in_thread

__all__ = [
    "FORGERIES",
    "Clock",
    "ExportPolicy",
    "Faults",
    "Ledger",
    "Limits",
    "Simulator",
    "SubscriptionRefused",
    "ThreadedSimulator",
    "Timing",
    "VirtualClock",
    "run_in_thread",
]
