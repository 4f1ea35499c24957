"""Teams chats: created and updated, in the shapes of the Teams page, the subset with `viewpoint` included.

https://learn.microsoft.com/graph/teams-changenotifications-chat
"""

import json
import random
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from local.graph.content import words
from local.graph.content.change import Change, ChangeType
from local.graph.content.people import Person
from local.graph.randomness import chance, guid, opaque
from local.graph.times import milliseconds_z, variant

Document = dict[str, Any]
TEAMS_APP_ID = "386bbcdb-1e1c-4f3f-b7d0-ad7b9ea6cf7c"


def life(people: tuple[Person, ...], start: datetime, tenant_id: str, rng: random.Random) -> list[Change]:
    """Return the creation of a chat and what becomes of it: none to three updates, each a version."""
    members = tuple(rng.sample(people, min(len(people), rng.choice((2, 2, 3, 6)))))
    document = _chat(members, start, tenant_id, rng)
    changes = [_change(document, members, start, "created", rng)]
    moment = start
    for _ in range(rng.randint(0, 3)):
        moment += timedelta(seconds=rng.uniform(30, 7200))
        document["lastUpdatedDateTime"] = milliseconds_z(moment)
        document["topic"] = words.prompt(rng)[:50]
        shown = _viewpoint(document, start) if chance(rng, 0.3) else document
        changes.append(_change(shown, members, moment, "updated", rng))
    return changes


def _chat(members: tuple[Person, ...], start: datetime, tenant_id: str, rng: random.Random) -> Document:
    one_on_one = len(members) == 2
    name = f"19:{members[0].oid}_{members[1].oid}@unq.gbl.spaces" if one_on_one else f"19:{opaque(rng, 32)}@thread.v2"
    return {
        "id": name,
        "topic": None if one_on_one else words.prompt(rng)[:50],
        "createdDateTime": variant(start, rng),
        "lastUpdatedDateTime": milliseconds_z(start),
        "chatType": "oneOnOne" if one_on_one else "group",
        "webUrl": f"https://teams.contoso.example/l/chat/{quote(name, safe='')}/0?tenantId={tenant_id}",
        "tenantId": tenant_id,
        "isHiddenForAllMembers": False,
        "lastMessagePreview": None,
        "onlineMeetingInfo": None,
        "members": [_member(person, tenant_id, rng) for person in members],
        "messages": [],
        "installedApps": [],
        "tabs": [],
        "permissionGrants": [],
        "operations": [],
        "assignedSensitivityLabel": None,
        "pinnedMessages": [],
    }


def _member(person: Person, tenant_id: str, rng: random.Random) -> Document:
    return {
        "@odata.type": "#microsoft.graph.aadUserConversationMember",
        "userId": person.oid,
        "email": None,
        "tenantId": tenant_id,
        "id": opaque(rng, 60),
        "roles": ["owner"] if chance(rng, 0.5) else [],
        "displayName": None,
        "visibleHistoryStartDateTime": "0001-01-01T00:00:00Z",
        "user": None,
    }


def _viewpoint(document: Document, start: datetime) -> Document:
    kept = ("id", "topic", "createdDateTime", "lastUpdatedDateTime", "chatType", "tenantId")
    viewpoint = {"isHidden": False, "lastMessageReadDateTime": milliseconds_z(start)}
    return {**{name: document[name] for name in kept}, "viewpoint": viewpoint}


def _change(
    document: Document, members: tuple[Person, ...], at: datetime, change_type: ChangeType, rng: random.Random
) -> Change:
    return Change(
        ref=guid(rng),
        at=at,
        kind="chat",
        change_type=change_type,
        id=document["id"],
        etag=document["lastUpdatedDateTime"],
        created=document["createdDateTime"],
        user_ids=frozenset(person.oid for person in members),
        installed_apps=frozenset({TEAMS_APP_ID}) if chance(rng, 0.5) else frozenset(),
        properties=dict(document),
        plaintext=json.dumps(document).encode(),
    )
