"""A notification without resource data says that something changed, and not what: Graph is asked.

Chats can be asked for (https://learn.microsoft.com/graph/api/chat-get). For ``interactions('…')`` Microsoft documents
no such request; where Graph refuses it, the export brings the interaction, and is asked to.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.core.activity import hour_of
from shared.core.errors import GraphFault, NoResourceData
from shared.core.gap import WITHOUT_CONTENT, Gap
from shared.core.notification import LATEST, ChangeNotification
from shared.core.resource_path import resource_path
from shared.core.resources import AI_INTERACTION, ResourceKind
from shared.core.subscription_rules import COPILOT_TENANT
from shared.flows.gaps import ask_for_export
from shared.flows.watch_claim import read_watch
from shared.ports import Container, Graph

_AN_HOUR = timedelta(hours=1)
# A notification of a change may be about something older than LATEST.
EARLIEST = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Fetching:
    """Asks Graph, or has the export asked where there is one (``exporting``)."""

    graph: Graph
    state: Container
    exporting: bool

    def fetch(self, kind: ResourceKind, notification: ChangeNotification, received_at: datetime) -> bytes | None:
        """The resource as JSON; None where the export will bring it.

        Raises NoResourceData where neither can, and GraphUnavailable or StorageUnavailable for now.
        """
        about = notification.resource_data.get("@odata.id")
        path = resource_path(about) or resource_path(notification.resource)
        refusal = "it names nothing that this app may ask for"
        if path is not None:
            try:
                return self.graph.resource(path)
            except GraphFault as error:
                refusal = str(error)
        if kind is not AI_INTERACTION or not self.exporting:
            raise NoResourceData(f"the notification carries no resource data, and Graph does not give it: {refusal}")
        self._ask_for_export(notification, received_at)
        return None

    def _ask_for_export(self, notification: ChangeNotification, received_at: datetime) -> None:
        # By the hour, so that a thousand such notifications are one gap and one export.
        begin = hour_of(_created(notification.resource_id, received_at))
        end = hour_of(received_at) + _AN_HOUR
        resource = self._resource_of(notification.subscription_id) or COPILOT_TENANT
        ask_for_export(self.state, Gap(resource, begin, end, WITHOUT_CONTENT))

    def _resource_of(self, subscription_id: str) -> str | None:
        watch = read_watch(self.state)
        tracked = watch.tracked.values() if watch else ()
        return next((each.resource for each in tracked if each.id == subscription_id.lower()), None)


def _created(resource_id: str | None, received_at: datetime) -> datetime:
    """When an interaction was created: its id is that time in milliseconds. What can't be is taken for the latest."""
    try:
        created = datetime.fromtimestamp(int(resource_id or "") / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return received_at - LATEST
    return created if received_at - EARLIEST <= created <= received_at else received_at - LATEST
