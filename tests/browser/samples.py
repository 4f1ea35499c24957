"""Statuses as an app may give them: a good day, a quiet one, a bad one, a new deployment, and hostile strings."""

import copy
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

Status = dict[str, Any]
# A part of one.
Json = Any

NOW = datetime(2026, 11, 21, 14, 32, 7, tzinfo=UTC)
TENANT_WIDE = "copilot/interactionHistory/getAllEnterpriseInteractions"
CERTIFICATE = "0f3b9a6c51d84e77a2c9d1e05b7f4a38"
HOURS = 48
DAYS = 75


def instant(at: datetime) -> str:
    """As the app writes instants."""
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def good() -> Status:
    """A working day: everything runs, a little waits, export has found a little."""
    return {
        "version": 1,
        "time": instant(NOW),
        "inbox": {"notifications": _waiting(3, 4), "lifecycle": _waiting(0, None)},
        "deadLetters": {"total": 0, "byReason": {}},
        "conflicts": 0,
        "subscriptions": {
            "managed": True,
            "reconciledAt": instant(NOW - timedelta(minutes=2)),
            "live": 2,
            "gapsToExport": 0,
            "gapsLost": 0,
            "resources": [_subscription(TENANT_WIDE, 63), _subscription("chats", 51)],
        },
        "certificate": {
            "id": CERTIFICATE,
            "thumbprint": "5C9A0E1D7F3B42868E1B6A2F90D4C7735BE81A09",
            "expiresAt": instant(NOW + timedelta(days=71)),
            "secondsToExpiry": 71 * 86400,
        },
        "exports": _exports(),
        "coverage": [_day(ago) for ago in range(DAYS, -1, -1)],
        "captured": [_hour(ago) for ago in range(HOURS - 1, -1, -1)],
    }


def quiet() -> Status:
    """A Sunday: nothing has happened for hours, and that is known."""
    status = good()
    status["inbox"]["notifications"] = _waiting(0, None)
    for hour in status["captured"]:
        hour["bySource"] = {"notification": 0, "export": 0}
        hour["latencySeconds"] = {}
    return status


def ordinary() -> Status:
    """What an operator meets most often: all runs, and two dead letters are left to look at."""
    status = good()
    status["deadLetters"] = {"total": 2, "byReason": {"unknown-certificate": 2}}
    return status


def bad_day() -> Status:
    """Much is wrong at once: a forbidden subscription, a vault that is away, a backlog, an export behind."""
    status = good()
    status["inbox"]["notifications"] = _waiting(1184, 2 * 3600 + 640)
    status["inbox"]["lifecycle"] = _waiting(3, 1500)
    status["deadLetters"] = {
        "total": 41,
        "byReason": {"not-genuine": 4, "unknown-certificate": 29, "client-state-mismatch": 8},
    }
    status["conflicts"] = 1
    status["subscriptions"] |= {"live": 1, "gapsToExport": 4}
    status["subscriptions"]["resources"][0] |= {
        "live": False,
        "id": None,
        "expirationDateTime": None,
        "secondsToExpiry": None,
        "encryptionCertificateId": None,
        "problem": "the app registration lacks AiEnterpriseInteraction.Read.All as an application permission",
        "problemSince": instant(NOW - timedelta(hours=3, minutes=10)),
        "retryAt": instant(NOW + timedelta(minutes=12)),
    }
    status["certificate"] = {"error": "Key Vault did not answer for the certificate archive-encryption"}
    status["exports"] |= _flagged() | {"behind": 212, "complete": 988, "lagSeconds": 38 * 3600 + 900, "queued": 1406}
    status["exports"]["oldestCompleteUntil"] = instant(NOW - timedelta(hours=38, minutes=15))
    status["coverage"][-5] |= {"notShownByExport": 7}
    status["coverage"][-3] |= {"missedByNotifications": 118}
    status["coverage"][-2] |= {"complete": False}
    for hour in status["captured"][-4:-1]:
        hour["bySource"] = {"notification": 0, "export": 96}
        hour["latencySeconds"] = {"export": {"p50": 7200.0, "p95": 28800.0}}
    del status["captured"][-20:-17]
    return status


def empty() -> Status:
    """A new deployment whose timers have not run."""
    nobody = {"posts": 0, "oldestReceivedAt": None, "oldestAgeSeconds": None}
    return {
        "version": 1,
        "time": instant(NOW),
        "inbox": {"notifications": dict(nobody), "lifecycle": dict(nobody)},
        "deadLetters": {"total": 0, "byReason": {}},
        "conflicts": 0,
        "subscriptions": {
            "managed": True,
            "reconciledAt": None,
            "live": 0,
            "gapsToExport": 0,
            "gapsLost": 0,
            "resources": [],
        },
        "certificate": {"error": "Key Vault holds no certificate archive-encryption"},
        "exports": {
            "scope": "none",
            "plannedAt": None,
            "users": 0,
            "complete": 0,
            "behind": 0,
            "leaving": 0,
            "oldestCompleteUntil": None,
            "lagSeconds": None,
            "queued": 0,
            "requestsPerSecond": 25,
            "plannedRequests": 0,
            "flagged": {"total": 0, "byReason": {}, "users": []},
        },
        "coverage": [],
        "captured": [],
    }


def bare() -> Status:
    """What version 1 told before it knew of exports, coverage and captures."""
    status = good()
    for later in ("exports", "coverage", "captured"):
        del status[later]
    return status


HOSTILE = (
    "<img src=x onerror=\"document.title='owned'\">",
    "</script><script>document.title='owned'</script>",
    "javascript:document.title='owned'",
    "\u202e\u2066\u0000<svg onload=document.title='owned'>",
    "x" * 20_000,
    "{{constructor.constructor('document.title=1')()}}",
    '" style="position:fixed;inset:0" onclick="document.title=1',
)


def hostile() -> Status:
    """The shape is right, and every string is somebody's attempt."""
    status: Status = _poisoned(bad_day(), iter(range(10_000)))
    status["deadLetters"]["byReason"] = dict.fromkeys((*HOSTILE, "__proto__", "constructor"), 1)
    status["certificate"] = {"error": HOSTILE[0]}
    # Instants and days stay readable, so that what stands beside them is drawn.
    status["time"] = instant(NOW)
    for name in ("coverage", "captured"):
        status[name] = copy.deepcopy(bad_day()[name])
    status["captured"][3]["bySource"] = {"notification": HOSTILE[0], "export": -1}
    status["captured"][4]["latencySeconds"] = {"notification": {"p50": "1e9", "p95": HOSTILE[1]}}
    return status


def shapeless() -> list[object]:
    """Not statuses at all, or statuses of the wrong types all through."""
    wrong: list[object] = [None, 5, "text", [], True, -1, 1e308]
    keys = good().keys()
    return [*(dict.fromkeys(keys, value) for value in wrong), {}, {"time": instant(NOW), "coverage": wrong}]


SAMPLES = {"good": good, "quiet": quiet, "ordinary": ordinary, "bad_day": bad_day, "empty": empty, "bare": bare}


def _poisoned(value: Json, turn: Iterator[int]) -> Json:
    if isinstance(value, dict):
        return {key: _poisoned(member, turn) for key, member in value.items()}
    if isinstance(value, list):
        return [_poisoned(member, turn) for member in value]
    return HOSTILE[next(turn) % len(HOSTILE)] if isinstance(value, str) else value


def _waiting(posts: int, age: int | None) -> Status:
    oldest = None if age is None else instant(NOW - timedelta(seconds=age))
    return {"posts": posts, "oldestReceivedAt": oldest, "oldestAgeSeconds": age}


def _subscription(resource: str, hours: int) -> Status:
    return {
        "resource": resource,
        "id": "6f0f3c1e-52c4-4d0c-9a37-8b1d2e4f5a60",
        "live": True,
        "expirationDateTime": instant(NOW + timedelta(hours=hours)),
        "secondsToExpiry": hours * 3600,
        "encryptionCertificateId": CERTIFICATE,
        "problem": None,
        "problemSince": None,
        "retryAt": None,
    }


def _exports() -> Status:
    return {
        "scope": "users",
        "plannedAt": instant(NOW - timedelta(minutes=25)),
        "problem": None,
        "users": 1204,
        "complete": 1204,
        "behind": 0,
        "leaving": 2,
        "oldestCompleteUntil": instant(NOW - timedelta(hours=19, minutes=25)),
        "lagSeconds": 19 * 3600 + 25 * 60,
        "queued": 0,
        "requestsPerSecond": 25,
        "plannedRequests": 3120,
        "flagged": {"total": 0, "byReason": {}, "users": []},
    }


def _flagged() -> Status:
    sentence = "export of a user: 403 Forbidden: Graph forbids it: a permission, a licence or a quota is missing"
    users = [
        {
            "userId": f"7d0a41b{number}-3c52-4f6e-9b80-1c2d3e4f5a6{number}",
            "reason": "forbidden",
            "sentence": sentence,
            "since": instant(NOW - timedelta(days=number + 1)),
            "retryAt": instant(NOW + timedelta(hours=3 + number)),
        }
        for number in range(3)
    ]
    users[2] |= {"reason": "not-found", "sentence": "export of a user: 404 ResourceNotFound"}
    return {"flagged": {"total": 4, "byReason": {"forbidden": 3, "not-found": 1}, "users": users}}


def _busy(at: datetime) -> float:
    """How much people work at an hour, between 0 and 1."""
    if at.weekday() >= 5:
        return 0.06
    return 0.03 + 0.97 * math.exp(-(((at.hour - 13.2) / 3.6) ** 2))


def _hour(ago: int) -> Status:
    at = NOW.replace(minute=0, second=0, microsecond=0) - timedelta(hours=ago)
    # A Saturday's traffic would draw as nothing: these are the hours of a week's middle.
    work = _busy(at - timedelta(days=3)) * (1 + 0.12 * math.sin(ago * 2.3))
    part = 0.53 if ago == 0 else 1
    found = 9 if ago in (6, 27, 28) else 0
    latency = {"notification": {"p50": 2.0 if work < 0.5 else 3.0, "p95": (5.0, 8.0, 12.0)[ago % 7 // 3]}}
    if found:
        latency["export"] = {"p50": 3600.0, "p95": 14400.0}
    return {
        "hour": at.strftime("%Y-%m-%dT%H:00:00Z"),
        "bySource": {"notification": round(640 * work * part), "export": found},
        "latencySeconds": latency,
    }


def _day(ago: int) -> Status:
    at = NOW - timedelta(days=ago)
    weekend = at.weekday() >= 5
    return {
        "day": at.strftime("%Y-%m-%d"),
        "resource": "aiInteraction",
        "byNotification": round((240 if weekend else 4100) * (1 + 0.1 * math.sin(ago))),
        "missedByNotifications": {23: 312, 24: 41, 51: 8}.get(ago, 0),
        "notShownByExport": None if ago < 2 else {38: 2}.get(ago, 0),
        "complete": ago > 0,
    }
