"""Every metric that the app emits, as a table: the one place where names, units and attributes are text.

docs/telemetry.md lists the same, alerts and workbook in ``infra/`` are tested against it. Names and units follow
https://opentelemetry.io/docs/specs/semconv/general/metrics/; no attribute ever holds content, a name or a person's id.
"""

from dataclasses import dataclass
from enum import StrEnum


class Instrument(StrEnum):
    """What a metric is: counted up, spread over, or seen last."""

    COUNTER = "counter"
    HISTOGRAM = "histogram"
    GAUGE = "gauge"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row. ``unit`` is UCUM; ``attributes`` are the only ones that the metric is ever given.

    ``boundaries`` are those of a histogram's buckets.
    """

    name: str
    instrument: Instrument
    unit: str
    description: str
    attributes: tuple[str, ...] = ()
    boundaries: tuple[float, ...] = ()


POSTS_RECEIVED = Metric(
    "copilot_archive.posts.received",
    Instrument.COUNTER,
    "{post}",
    "Posts to the two webhooks, by queue and by HTTP answer; handshakes are not among them",
    ("queue", "answer"),
)
ACKNOWLEDGEMENT_TIME = Metric(
    "copilot_archive.posts.acknowledgement_time",
    Instrument.HISTOGRAM,
    "s",
    "From a post's arrival in the app to its answer; Graph wants it within 3 s",
    ("queue", "answer"),
    (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0),
)
INTERACTIONS_ARCHIVED = Metric(
    "copilot_archive.interactions.archived",
    Instrument.COUNTER,
    "{interaction}",
    "What came to rest in the archive, once each, by what brought it",
    ("source", "kind", "app_class", "interaction_type"),
)
DUPLICATES = Metric(
    "copilot_archive.interactions.duplicates",
    Instrument.COUNTER,
    "{interaction}",
    "What was in the archive already when it came again",
    ("source",),
)
CONFLICTS = Metric(
    "copilot_archive.interactions.conflicts",
    Instrument.COUNTER,
    "{interaction}",
    "What claimed a name that other content has, and was kept beside it",
    ("source",),
)
CAPTURE_LATENCY = Metric(
    "copilot_archive.interactions.capture_latency",
    Instrument.HISTOGRAM,
    "s",
    "From createdDateTime to the archive",
    ("source",),
    # Seconds by notification; hours by export; days after an outage.
    (1, 2, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 24 * 3600, 7 * 24 * 3600),
)
DEAD_LETTERS_PARKED = Metric(
    "copilot_archive.dead_letters.parked",
    Instrument.COUNTER,
    "{item}",
    "Items that became dead letters, by reason",
    ("reason",),
)
DEAD_LETTERS_HELD = Metric(
    "copilot_archive.dead_letters.held",
    Instrument.GAUGE,
    "{item}",
    "Dead letters that wait for an operator, by reason",
    ("reason",),
)
INBOX_POSTS = Metric(
    "copilot_archive.inbox.posts",
    Instrument.GAUGE,
    "{post}",
    "Posts that were acknowledged and are not at rest, by queue",
    ("queue",),
)
INBOX_AGE = Metric(
    "copilot_archive.inbox.oldest_age",
    Instrument.GAUGE,
    "s",
    "Age of the oldest post in the inbox, by queue; 0 where there is none",
    ("queue",),
)
SUBSCRIPTIONS_WANTED = Metric(
    "copilot_archive.subscriptions.wanted", Instrument.GAUGE, "{subscription}", "Subscriptions that settings ask for"
)
SUBSCRIPTIONS_LIVE = Metric(
    "copilot_archive.subscriptions.live", Instrument.GAUGE, "{subscription}", "Those of them that live"
)
SUBSCRIPTION_TIME_LEFT = Metric(
    "copilot_archive.subscriptions.time_left",
    Instrument.GAUGE,
    "s",
    "Until the first of them expires; negative once it has",
)
CERTIFICATE_DAYS_LEFT = Metric(
    "copilot_archive.certificate.days_left",
    Instrument.GAUGE,
    "d",
    "Until the current version of the encryption certificate expires",
)
GAPS = Metric(
    "copilot_archive.gaps.open",
    Instrument.GAUGE,
    "{gap}",
    "Hours that no notification vouches for and that are not exported yet",
)
LOST_GAPS = Metric(
    "copilot_archive.gaps.lost",
    Instrument.GAUGE,
    "{gap}",
    "Such hours of a kind that nothing exports, or from before EXPORT_START: what fell into them is not in the archive",
)
EXPORT_LAG = Metric(
    "copilot_archive.exports.lag",
    Instrument.GAUGE,
    "s",
    "Age of the checkpoint of the user who is furthest behind; flagged users are left out",
)
EXPORT_USERS = Metric(
    "copilot_archive.exports.users",
    Instrument.GAUGE,
    "{user}",
    "Users on the export's plan, by state: complete, behind, flagged, leaving",
    ("state",),
)
EXPORT_REQUESTS = Metric(
    "copilot_archive.exports.requests",
    Instrument.COUNTER,
    "{request}",
    "Requests to the export API, by HTTP answer",
    ("answer",),
)
EXPORT_BUDGET_USED = Metric(
    "copilot_archive.exports.budget_used",
    Instrument.GAUGE,
    "1",
    "Part of an hour's requests that the last plan spends",
)
MISSED_BY_NOTIFICATIONS = Metric(
    "copilot_archive.corroboration.missed_by_notifications",
    Instrument.GAUGE,
    "{interaction}",
    "Of the last whole day: what export found and notifications should have brought",
    ("resource",),
)
NOT_SHOWN_BY_EXPORT = Metric(
    "copilot_archive.corroboration.not_shown_by_export",
    Instrument.GAUGE,
    "{interaction}",
    "Of the last day that is 48 hours past: what notifications brought and export has not shown",
    ("resource",),
)
DEPENDENCY_FAILURES = Metric(
    "copilot_archive.dependencies.failures",
    Instrument.COUNTER,
    "{failure}",
    "Times that something the app needs was out of reach: storage, key-vault, signing-keys, graph",
    ("dependency",),
)

METRICS = (
    POSTS_RECEIVED,
    ACKNOWLEDGEMENT_TIME,
    INTERACTIONS_ARCHIVED,
    DUPLICATES,
    CONFLICTS,
    CAPTURE_LATENCY,
    DEAD_LETTERS_PARKED,
    DEAD_LETTERS_HELD,
    INBOX_POSTS,
    INBOX_AGE,
    SUBSCRIPTIONS_WANTED,
    SUBSCRIPTIONS_LIVE,
    SUBSCRIPTION_TIME_LEFT,
    CERTIFICATE_DAYS_LEFT,
    GAPS,
    LOST_GAPS,
    EXPORT_LAG,
    EXPORT_USERS,
    EXPORT_REQUESTS,
    EXPORT_BUDGET_USED,
    MISSED_BY_NOTIFICATIONS,
    NOT_SHOWN_BY_EXPORT,
    DEPENDENCY_FAILURES,
)
