"""Copilot interactions: conversations of people with an app, in documents of the published shape.

https://learn.microsoft.com/microsoft-365/copilot/extensibility/api/ai-services/interaction-export/resources/aiinteraction
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local.graph.content import cards, hostile, words
from local.graph.content.apps import APPS, BOT_ID, App
from local.graph.content.change import Change
from local.graph.content.people import Person
from local.graph.randomness import chance, guid, opaque
from local.graph.times import epoch_milliseconds, milliseconds_z, ticks_z

Document = dict[str, Any]
_LOCALES = ("en-us", "en-us", "fi-fi", "de-de", "ar-sa", "ja-jp")


@dataclass(frozen=True)
class Texture:
    """How often the rare kinds of content come: rates between 0 and 1."""

    hostile: float = 0.08
    big_card: float = 0.02
    odd_names: float = 0.03


@dataclass(frozen=True)
class Session:
    """One thread of someone (in a meeting: of several) with an app."""

    id: str
    app: App
    people: tuple[Person, ...]
    locale: str


def session(people: tuple[Person, ...], rng: random.Random, texture: Texture) -> Session:
    """Return a new session of one of `people`, or of a few where it is a meeting."""
    app = rng.choices(APPS, [app.weight for app in APPS])[0]
    if app.meeting:
        thread = f"19:meeting_{opaque(rng, 48)}@thread.v2"
        members = tuple(rng.sample(people, min(len(people), rng.randint(2, 5))))
    else:
        thread, members = f"19:{opaque(rng, 43)}1@thread.v2", (rng.choice(people),)
    if chance(rng, texture.odd_names):
        thread = _odd_thread(rng)
    return Session(thread, app, members, rng.choice(_LOCALES))


def _odd_thread(rng: random.Random) -> str:
    # Nothing promises that ids are tame: a name made of them must stay in its folder and apart from its neighbours.
    core = opaque(rng, 8)
    shapes = ("19:../../{}@x", "19:{}/%2e%2e/a", "..", "CON", "19:{}\u202e\u0007", "19:{}?x=1#y", "{}" * 60, "Ä:{} .")
    return rng.choice(shapes).replace("{}", core) + opaque(rng, 6)


def request_id(rng: random.Random) -> str:
    """Return what pairs a prompt with its answers: mostly a GUID, in either case, and sometimes not a GUID."""
    if chance(rng, 0.05):
        return f"{opaque(rng, 22)}.{rng.randint(1000, 9999)}.1.1"
    return guid(rng).upper() if chance(rng, 0.1) else guid(rng)


def prompt(
    at: Session, request: str, moment: datetime, tenant_id: str, rng: random.Random, texture: Texture
) -> Document:
    """Return what someone asked."""
    person = rng.choice(at.people)
    text = hostile.text(rng) if chance(rng, texture.hostile) else words.prompt(rng)
    document = _document(at, request, moment, "userPrompt", rng)
    document["from"] = _from_person(person, tenant_id)
    document["body"] = {"contentType": "text", "content": text}
    if chance(rng, 0.1):
        document["mentions"] = [_mention(rng.choice(at.people), rng)]
    return document


def response(at: Session, request: str, moment: datetime, rng: random.Random, texture: Texture) -> Document:
    """Return what Copilot answered: text, or a card with the text inside."""
    text = hostile.text(rng) if chance(rng, texture.hostile) else words.answer(rng)
    document = _document(at, request, moment, "aiResponse", rng)
    document["from"] = _from_app(at.app)
    big = chance(rng, texture.big_card)
    if big or chance(rng, 0.5):
        _attach_card(document, cards.big_card(rng) if big else cards.card(text, rng), rng)
    else:
        document["body"] = {"contentType": "text", "content": text}
    if chance(rng, 0.2):
        document["links"] = [_link(rng)]
    return document


def plaintext(document: Mapping[str, Any], rng: random.Random) -> bytes:
    """Return a document as bytes, in one of the spellings of JSON that all mean the same."""
    if chance(rng, 0.1):
        document = {name: value for name, value in document.items() if value is not None and value != []}
    separators = (",", ":") if chance(rng, 0.7) else (", ", ": ")
    return json.dumps(document, ensure_ascii=chance(rng, 0.3), separators=separators).encode()


def change(document: Mapping[str, Any], at: Session, moment: datetime, rng: random.Random) -> Change:
    """Return the creation of an interaction."""
    return Change(
        ref=guid(rng),
        at=moment,
        kind="aiInteraction",
        change_type="created",
        id=document["id"],
        etag=document["etag"],
        created=document["createdDateTime"],
        session_id=at.id,
        request_id=document["requestId"],
        user_ids=frozenset(person.oid for person in at.people),
        properties=document,
        plaintext=plaintext(document, rng),
    )


def _document(at: Session, request: str, moment: datetime, kind: str, rng: random.Random) -> Document:
    number = str(epoch_milliseconds(moment))
    return {
        "id": number,
        "sessionId": at.id,
        "requestId": request,
        "appClass": at.app.app_class,
        "interactionType": kind,
        "conversationType": at.app.conversation_type,
        "etag": number,
        "createdDateTime": ticks_z(moment) if chance(rng, 0.2) else milliseconds_z(moment),
        "locale": at.locale,
        "contexts": _contexts(at, rng, answered=kind == "aiResponse"),
        "from": None,
        "body": None,
        "attachments": [],
        "links": [],
        "mentions": [],
    }


def _contexts(at: Session, rng: random.Random, *, answered: bool) -> list[Document]:
    # Known: answers in meetings sometimes lack the context that their prompt has.
    if not at.app.meeting or (answered and chance(rng, 0.3)):
        return []
    reference = f"https://teams.contoso.example/threads/{at.id}"
    return [{"contextReference": reference, "displayName": "Weekly planning", "contextType": "TeamsMeeting"}]


def _from_person(person: Person, tenant_id: str) -> Document:
    return {
        "@odata.type": "#microsoft.graph.chatMessageFromIdentitySet",
        "application": None,
        "device": None,
        "user": {
            "@odata.type": "#microsoft.graph.teamworkUserIdentity",
            "id": person.oid,
            "displayName": f"8:orgid:{person.oid}",
            "userIdentityType": "aadUser",
            "tenantId": tenant_id,
        },
    }


def _from_app(app: App) -> Document:
    return {
        "@odata.type": "#microsoft.graph.chatMessageFromIdentitySet",
        "device": None,
        "user": None,
        "application": {
            "@odata.type": "#microsoft.graph.teamworkApplicationIdentity",
            "id": BOT_ID,
            "displayName": app.display_name,
            "applicationIdentityType": "bot",
        },
    }


def _attach_card(document: Document, content: str, rng: random.Random) -> None:
    name = rng.randbytes(16).hex()
    document["body"] = {"contentType": "html", "content": f'<attachment id="{name}"></attachment>'}
    attachment = {"attachmentId": name, "contentType": cards.CONTENT_TYPE, "contentUrl": None}
    document["attachments"] = [{**attachment, "content": content, "name": None}]


def _link(rng: random.Random) -> Document:
    kind = rng.choice(("Event", "Meeting", "File"))
    url = f"https://contoso.example/{kind.lower()}s/{opaque(rng, 20)}?web=1&source=copilot"
    return {"linkUrl": url, "displayName": words.prompt(rng)[:40], "linkType": kind}


def _mention(person: Person, rng: random.Random) -> Document:
    user = {"id": person.oid, "displayName": person.name, "userIdentityType": "aadUser"}
    mentioned = {"application": None, "device": None, "user": user, "conversation": None, "tag": None}
    return {"mentionId": rng.randint(0, 3), "mentionText": person.name, "mentioned": mentioned}
