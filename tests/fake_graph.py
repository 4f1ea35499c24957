"""Graph's subscriptions as ``shared/ports.py`` promises them, in memory, with Microsoft's rules and the truth besides.

The truth is what no app can ask for: from when until when each subscription lived, and when its deliveries were paused.
Tests hold what the app noted as gaps against it.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

from shared.core.errors import CaptureError
from shared.core.graph_fault import fault
from shared.core.graph_subscription import parse_subscription
from shared.core.instants import format_instant, parse_instant
from shared.core.resource_path import resource_path
from shared.core.subscription import ActualSubscription
from shared.core.subscription_rules import resource_key
from shared.ports import GraphCall
from tests.fakes import World

LONGEST = timedelta(minutes=4320)
SHORTEST = timedelta(minutes=45)
WITHOUT_LIFECYCLE_URL = timedelta(hours=1)
PATIENCE = timedelta(minutes=30)
ALL_ROLES = frozenset({"AiEnterpriseInteraction.Read.All", "Chat.Read.All", "ChatMember.Read.All"})
# What Graph's messages say must never be repeated: it names people and, in a proxy's answer, anything.
CONFIDENTIAL = "adele.vance@contoso.example"
Span = tuple[datetime, datetime]
Json = Mapping[str, object]


@dataclass
class Life:
    """One subscription from its creation to its end. ``asked_at``: Graph wants a new authorisation since then."""

    document: dict[str, object]
    born: datetime
    ended: datetime | None = None
    asked_at: datetime | None = None
    pauses: list[Span] = field(default_factory=list)

    @property
    def id(self) -> str:
        return str(self.document["id"])

    @property
    def key(self) -> str:
        return resource_key(str(self.document["resource"]))

    @property
    def expires_at(self) -> datetime:
        return _expiry_of(self.document)


@dataclass(frozen=True)
class _Refusal:
    call: str
    status: int
    code: str
    headers: Mapping[str, str]
    message: str


class FakeGraph:
    """The Graph port. ``conflicts`` off: this Graph makes as many for a resource as it is asked for.

    ``world`` counts calls under the labels ``graph.list``, ``graph.get``, ``graph.POST subscriptions`` and so on, and
    breaks them on cue, before or after they took effect.
    """

    def __init__(
        self,
        world: World,
        *,
        strict_patch: bool = False,
        conflicts: bool = True,
        organisation_quota: int = 10_000,
        life_limit: timedelta = LONGEST,
        patience: timedelta = PATIENCE,
    ) -> None:
        self.strict_patch = strict_patch
        self.conflicts = conflicts
        self.organisation_quota = organisation_quota
        self.life_limit = life_limit
        self.patience = patience
        self.granted: frozenset[str] = ALL_ROLES
        self.users: list[str] = []
        # By id, nested ones flattened; and single resources by the path that they are asked for by.
        self.groups: dict[str, list[str]] = {}
        self.resources: dict[str, bytes] = {}
        self.lives: list[Life] = []
        self.bodies: list[tuple[str, Json]] = []
        self.list_needs_consent = False
        self.list_hides_certificate_id = False
        self.handshake: Callable[[str], bool] = lambda _: True
        self.most_at_once: dict[str, int] = {}
        self._refusals: list[_Refusal] = []
        self._world = world
        self._numbers = count(1)

    # ---- the port

    def subscriptions(self) -> list[ActualSubscription]:
        with self._world.graph_call("graph.list"):
            self._answer("graph.list")
            if self.list_needs_consent and not self.granted:
                raise self._fault(403, "Forbidden", "list the subscriptions")
            return [parse_subscription(self._listed(life)) for life in self.living()]

    def subscription(self, subscription_id: str) -> ActualSubscription | None:
        with self._world.graph_call(f"graph.get {subscription_id}"):
            self._answer("graph.get")
            found = self.find(subscription_id)
            return None if found is None else parse_subscription(found.document)

    def send(self, calls: Sequence[GraphCall]) -> list[ActualSubscription | CaptureError | None]:
        answers: list[ActualSubscription | CaptureError | None] = []
        for call in calls:
            answer: ActualSubscription | CaptureError | None = None
            try:
                with self._world.graph_call(f"graph.{call.method} {call.path}"):
                    self._answer(f"graph.{call.method}")
                    answer = self._do(call)
            except CaptureError as error:
                answer = error
            answers.append(answer)
        return answers

    def roles(self) -> frozenset[str] | None:
        with self._world.graph_call("graph.roles"):
            return self.granted

    def licensed_users(self) -> Iterator[str]:
        with self._world.graph_call("graph.licensed_users"):
            self._answer("graph.licensed_users")
        yield from self.users

    def members(self, group_id: str) -> Iterator[str]:
        with self._world.graph_call(f"graph.members {group_id}"):
            self._answer("graph.members")
            if group_id not in self.groups:
                raise self._fault(404, "Request_ResourceNotFound", "list the members of a group")
        yield from self.groups[group_id]

    def resource(self, path: str) -> bytes:
        assert resource_path(path) is not None or "%" in path, "a path that nobody checked"
        with self._world.graph_call(f"graph.resource {path}"):
            self._answer("graph.resource")
            if path not in self.resources:
                raise self._fault(404, "NotFound", "fetch what a notification is about")
            return self.resources[path]

    # ---- what a test has Graph do

    def refuse(
        self,
        call: str,
        status: int,
        code: str = "",
        *,
        times: int = 1,
        retry_after: str | None = None,
        in_the_way: str | None = None,
    ) -> None:
        """Answer the next calls whose label begins with ``call`` with an error, as Graph words them."""
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        self._refusals += [_Refusal(call, status, code, headers, _conflict(in_the_way) if in_the_way else "")] * times

    def accept_again(self) -> None:
        """No more refusals."""
        self._refusals.clear()

    def put(self, **differing: object) -> Life:
        """A subscription that was not made through this port: somebody else's, or one of an earlier life."""
        document: dict[str, object] = {
            "id": f"00000000-0000-0000-0000-{next(self._numbers):012}",
            "changeType": "created,updated,deleted",
            "notificationUrl": "https://elsewhere.example/api/notifications",
            "lifecycleNotificationUrl": "https://elsewhere.example/api/lifecycle",
            "resource": "/copilot/interactionHistory/getAllEnterpriseInteractions",
            "expirationDateTime": format_instant(self._world.now + LONGEST),
            "clientState": "of somebody else",
            "includeResourceData": True,
            "encryptionCertificateId": "v1",
            **differing,
        }
        life = Life(document, self._world.now)
        self.lives.append(life)
        return life

    def remove(self, subscription_id: str) -> None:
        """End a subscription, as Graph does by itself."""
        found = self.find(subscription_id)
        assert found is not None, f"{subscription_id} does not live"
        self._end(found, self._world.now)

    def challenge(self, subscription_id: str) -> None:
        """Want a new authorisation: after some patience deliveries pause until there is one."""
        found = self.find(subscription_id)
        if found is not None and found.asked_at is None:
            found.asked_at = self._world.now

    def revoke(self) -> None:
        """The administrator takes consent back: deliveries pause now."""
        self.granted = frozenset()
        for life in self.living():
            life.asked_at = min(life.asked_at or self._world.now, self._world.now - self.patience)

    def restore(self) -> None:
        """Consent is back. Deliveries go on once the app has asked."""
        self.granted = ALL_ROLES

    # ---- what is true

    def living(self) -> list[Life]:
        """What lives now."""
        now = self._world.now
        for life in self.lives:
            if life.ended is None and life.expires_at <= now:
                self._end(life, life.expires_at)
        # Whatever ended long ago stays in the truth, and not in the way.
        return [life for life in self.lives if life.ended is None]

    def find(self, subscription_id: str) -> Life | None:
        """One that lives now."""
        return next((life for life in self.living() if life.id == subscription_id.lower()), None)

    def silent(self, resource: str, begin: datetime, end: datetime) -> list[Span]:
        """When nothing was delivered for a resource, though somebody wanted it from ``begin`` to ``end``."""
        flowing: list[Span] = []
        for life in self.lives:
            if life.key != resource_key(resource):
                continue
            until = life.ended or end
            flowing += without([(life.born, until)], [*life.pauses, *self._pause_at(life, until)])
        return without([(begin, end)], flowing)

    # ---- inside

    def _answer(self, label: str) -> None:
        for each in self._refusals:
            if label.startswith(each.call):
                self._refusals.remove(each)
                raise self._fault(each.status, each.code, label, each.headers, each.message)

    def _do(self, call: GraphCall) -> ActualSubscription | None:
        if call.body is not None:
            self.bodies.append((call.method, call.body))
        if call.method == "POST":
            return parse_subscription(self._create(call))
        found = self.find(call.path.removeprefix("subscriptions/"))
        if found is None:
            raise self._fault(404, "ResourceNotFound", call.what)
        if call.method == "DELETE":
            self._end(found, self._world.now)
            return None
        assert call.method == "PATCH", call.method
        return parse_subscription(self._patch(found, call))

    def _create(self, call: GraphCall) -> Json:
        body = call.body or {}
        needed = ("changeType", "notificationUrl", "resource", "expirationDateTime")
        if not all(isinstance(body.get(name), str) and body[name] for name in needed):
            raise self._fault(400, "BadRequest", call.what)
        if not self.granted:
            raise self._fault(403, "Forbidden", call.what)
        if len(str(body.get("clientState", ""))) > 128 or (body.get("includeResourceData") and not _certified(body)):
            raise self._fault(400, "ValidationError", call.what)
        urls = [str(body["notificationUrl"]), str(body.get("lifecycleNotificationUrl") or "")]
        document = {
            **body,
            "id": f"11111111-0000-0000-0000-{next(self._numbers):012}",
            "expirationDateTime": format_instant(self._granted_expiry(body, urls[1], call)),
            "encryptionCertificate": None,
        }
        self._check_room(document, call)
        if not all(self.handshake(url) for url in urls if url):
            raise self._fault(400, "ValidationError", call.what)
        life = Life(document, self._world.now)
        self.lives.append(life)
        alive = sum(each.key == life.key for each in self.living())
        self.most_at_once[life.key] = max(alive, self.most_at_once.get(life.key, 0))
        return document

    def _check_room(self, document: Json, call: GraphCall) -> None:
        living = self.living()
        if len(living) >= self.organisation_quota:
            raise self._fault(403, "Forbidden", call.what)
        path = resource_key(str(document["resource"])).partition("?")[0]
        for life in living if self.conflicts else []:
            if life.key == resource_key(str(document["resource"])):
                raise self._fault(409, "ObjectIdentifierInUse", call.what, message=_conflict(life.id))
            if life.key.partition("?")[0] == path:
                raise self._fault(403, "Forbidden", call.what)

    def _granted_expiry(self, body: Json, lifecycle_url: str, call: GraphCall) -> datetime:
        now, asked = self._world.now, parse_instant(body["expirationDateTime"])
        if asked is None or asked - now > LONGEST:
            raise self._fault(400, "ExtensionError", call.what)
        if not lifecycle_url and asked - now > WITHOUT_LIFECYCLE_URL:
            raise self._fault(400, "BadRequest", call.what)
        return now + min(max(asked - now, SHORTEST), self.life_limit)

    def _patch(self, life: Life, call: GraphCall) -> Json:
        body = dict(call.body or {})
        pair = {"encryptionCertificate", "encryptionCertificateId"}
        if not self.granted:
            raise self._fault(403, "Forbidden", call.what)
        unknown = set(body) - pair - {"expirationDateTime", "notificationUrl"}
        if unknown or "expirationDateTime" not in body:
            raise self._fault(400, "BadRequest", call.what)
        if pair & set(body) and (self.strict_patch or not _certified(body)):
            raise self._fault(400, "BadRequest", call.what)
        if "notificationUrl" in body and not self.handshake(str(body["notificationUrl"])):
            raise self._fault(400, "ValidationError", call.what)
        lifecycle_url = str(life.document.get("lifecycleNotificationUrl") or "")
        body["expirationDateTime"] = format_instant(self._granted_expiry(body, lifecycle_url, call))
        body.pop("encryptionCertificate", None)
        life.pauses += self._pause_at(life, self._world.now)
        life.asked_at = None
        life.document.update(body)
        return life.document

    def _pause_at(self, life: Life, now: datetime) -> list[Span]:
        if life.asked_at is None or life.asked_at + self.patience >= now:
            return []
        return [(life.asked_at + self.patience, now)]

    def _end(self, life: Life, when: datetime) -> None:
        life.pauses += self._pause_at(life, when)
        life.ended, life.asked_at = when, None

    def _listed(self, life: Life) -> Json:
        hidden: dict[str, object] = {"clientState": None, "encryptionCertificate": ""}
        if self.list_hides_certificate_id:
            hidden["encryptionCertificateId"] = ""
        return {**life.document, **hidden}

    def _fault(
        self, status: int, code: str, what: str, headers: Mapping[str, str] | None = None, message: str = ""
    ) -> CaptureError:
        body = {"error": {"code": code, "message": message or f"no good: {CONFIDENTIAL}"}}
        return fault(status, body, headers or {}, what, self._world.now)


def without(spans: Iterable[Span], holes: Iterable[Span]) -> list[Span]:
    """What is left of spans where the holes are taken out, in order and without overlap."""
    left = merged(spans)
    for begin, end in merged(holes):
        cut: list[Span] = []
        for first, last in left:
            cut += [span for span in ((first, min(last, begin)), (max(first, end), last)) if span[0] < span[1]]
        left = merged(cut)
    return left


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same time in as few spans as it takes."""
    result: list[Span] = []
    for begin, end in sorted(span for span in spans if span[0] < span[1]):
        if result and begin <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((begin, end))
    return result


def length(spans: Iterable[Span]) -> timedelta:
    """How long they are together."""
    return sum((end - begin for begin, end in merged(spans)), timedelta(0))


def _conflict(existing: str) -> str:
    return f"Subscription Id {existing} already exists for the requested combination"


def _certified(body: Json) -> bool:
    name, text = body.get("encryptionCertificateId"), body.get("encryptionCertificate")
    if not isinstance(name, str) or not 0 < len(name) <= 128 or not isinstance(text, str):
        return False
    try:
        return bool(base64.b64decode(text, validate=True))
    except binascii.Error:
        return False


def _expiry_of(document: Json) -> datetime:
    expires_at = parse_instant(document["expirationDateTime"])
    assert expires_at is not None
    return expires_at
