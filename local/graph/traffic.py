"""Changes of the tenant become posts, and forgers add theirs."""

import asyncio
import itertools
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from local.graph import envelope, lifecycle, planning
from local.graph.authorisation import Authorisations
from local.graph.cloud import Cloud
from local.graph.content.canonical import canonical_sha256
from local.graph.content.change import Change
from local.graph.delivery import Delivery, Outgoing
from local.graph.envelope import Message, Notice
from local.graph.faults import Faults
from local.graph.forgeries import FORGERIES, ITEMS, Materials
from local.graph.ledger_entries import Content, Post
from local.graph.ledger_writer import LedgerWriter
from local.graph.planning import PlannedPost
from local.graph.randomness import chance, guid, stream
from local.graph.recipients import Recipients
from local.graph.subscription import Subscription
from local.graph.subscription_store import Subscriptions
from local.graph.tenant_history import TenantHistory
from local.graph.times import utc_now

_DAY = timedelta(days=1)


class Traffic:
    """Sends. `faults` may be exchanged at any time and holds for what is sent from then on.

    `planned` and `finished` count posts, for a progress bar.
    """

    def __init__(
        self,
        cloud: Cloud,
        subscriptions: Subscriptions,
        authorisations: Authorisations,
        delivery: Delivery,
        ledger: LedgerWriter,
        history: TenantHistory,
        *,
        seed: int,
        faults: Faults,
    ) -> None:
        self.faults = faults
        self.planned = 0
        self.finished = 0
        self._cloud = cloud
        self._subscriptions = subscriptions
        self._recipients = Recipients(subscriptions, authorisations, cloud.entra)
        self._delivery = delivery
        self._ledger = ledger
        self._history = history
        self._droppings = stream(seed, "dropped")
        self._rng = stream(seed, "traffic")
        self._forgery_kinds = self._endless_kinds()

    def start(self, changes: Iterable[Change], *, seconds: float = 0.0) -> list[asyncio.Task[Post]]:
        """Write changes to the ledger and plan their posts; a tenant's day is squeezed into so many real `seconds`.

        The returned tasks end when their posts were accepted or given up.
        """
        changes = list(changes)
        begin = _begin(changes)
        notices = [notice for change in changes for notice in self._noticed(change, _pace(change.at - begin, seconds))]
        posts = planning.plan(notices, self.faults, self._rng)
        return [task for post in posts for task in self._schedule(post, _pace(post.at - begin, seconds))]

    async def send(self, changes: Iterable[Change], *, seconds: float = 0.0) -> list[Post]:
        """As `start`, and wait for the end of it."""
        return list(await asyncio.gather(*self.start(changes, seconds=seconds)))

    def happen(self, changes: Iterable[Change], *, seconds: float = 0.0) -> None:
        """Let changes happen at the same pace, of which nobody is notified."""
        changes = list(changes)
        begin = _begin(changes)
        for change in changes:
            self._record(change, [], after=_pace(change.at - begin, seconds))

    async def forge(self, kind: str, *, neighbours: Iterable[Change] = ()) -> Post:
        """Send one forged post of a kind of `FORGERIES`, and wait for the answer.

        `neighbours` are genuine changes in the same post: they go to the ledger as such, must be archived, and the
        post is then insisted on as Graph does. Only forged items have neighbours: kinds of `ITEMS`.

        Raises:
            ValueError: no such kind, neighbours of another kind of forgery, or no rich subscription to imitate.
        """
        if kind not in FORGERIES:
            raise ValueError(f"no such forgery: {kind!r}; there are {', '.join(FORGERIES)}")
        if (changes := list(neighbours)) and kind not in ITEMS:
            raise ValueError(f"{kind!r} spoils a whole post, it can have no neighbours")
        subscription = self._imitated()
        for change in changes:
            self._record(change, [subscription])
        genuine = tuple(Notice(change, subscription) for change in changes)
        return await self._forge(kind, subscription, genuine, utc_now(), 0.0)

    async def tell(self, event: str, subscriptions: Sequence[Subscription]) -> list[Post]:
        """Send lifecycle notifications to those that have a URL for them, and wait for the answers."""
        reachable = [each for each in subscriptions if each.lifecycle_notification_url]
        for each in reachable:
            self._ledger.lifecycle(event, each.id)
        made = lifecycle.posts(
            event, reachable, self._own_stream(), batch=self.faults.batch, variants=self.faults.variants
        )
        return list(await asyncio.gather(*(self._send(each, 0.0) for each in made)))

    def _noticed(self, change: Change, after: float) -> list[Notice]:
        covering = self._recipients.of(change)
        self._record(change, covering, after=after)
        return [Notice(change, subscription) for subscription in covering if not self._drops(change, subscription)]

    def _drops(self, change: Change, subscription: Subscription) -> bool:
        if not chance(self._droppings, self.faults.dropped):
            return False
        self._ledger.dropped(change.ref, subscription.id)
        return True

    def _current(self, notice: Notice) -> Notice | None:
        if (current := self._recipients.current(notice)) is None:
            self._ledger.withheld(notice.change.ref, notice.subscription.id)
        return current

    def _record(
        self, change: Change, covering: Sequence[Subscription], forged: str | None = None, *, after: float = 0.0
    ) -> None:
        subscriptions = tuple(each.id for each in covering)
        self._ledger.content(ledger_content(change, self._cloud.who.tenant_id, subscriptions, forged))
        if forged is None:
            self._history.add(change, after=after)

    def _schedule(self, planned: PlannedPost, after: float) -> Iterator[asyncio.Task[Post]]:
        kind = next(self._forgery_kinds) if chance(self._rng, self.faults.forged) else None
        imitated = self._possibly_imitated() if kind else None
        if kind is not None and imitated is not None and imitated.notification_url == planned.url:
            # A forged item hides among genuine ones; any other forgery comes as a post of its own.
            neighbours = planned.notices if kind in ITEMS else ()
            yield self._forge(kind, imitated, neighbours, planned.at, after)
            if neighbours:
                return
        refs = tuple(notice.change.ref for notice in planned.notices)
        rng = self._own_stream()
        outgoing = Outgoing(guid(rng), planned.url, lambda: self._planned_message(planned, rng), refs)
        yield self._send(outgoing, after)

    def _own_stream(self) -> random.Random:
        # Posts are made when they leave, in an order that no seed decides: each draws from a stream of its own.
        return random.Random(self._rng.getrandbits(64))

    def _planned_message(self, planned: PlannedPost, rng: random.Random) -> Message | None:
        here = self._still_due(planned)
        return self._message(here, rng) if here else None

    def _still_due(self, planned: PlannedPost) -> tuple[Notice, ...]:
        # Between plan and departure subscriptions are renewed, move to other certificates and URLs, or end.
        current = [now for notice in planned.notices if (now := self._current(notice)) is not None]
        here = [notice for notice in current if notice.subscription.notification_url == planned.url]
        elsewhere: dict[str, list[Notice]] = defaultdict(list)
        for notice in current:
            if notice.subscription.notification_url != planned.url:
                elsewhere[notice.subscription.notification_url].append(notice)
        for url, moved in elsewhere.items():
            self._forward(PlannedPost(planned.at, url, tuple(moved)))
        return tuple(here)

    def _forward(self, planned: PlannedPost) -> None:
        rng = self._own_stream()
        refs = tuple(notice.change.ref for notice in planned.notices)
        self._send(Outgoing(guid(rng), planned.url, lambda: self._planned_message(planned, rng), refs), 0.0)

    def _message(self, notices: Sequence[Notice], rng: random.Random) -> Message:
        items = [envelope.item(notice, rng, self.faults.variants) for notice in notices]
        tokens = envelope.tokens(notices, self._cloud.entra, rng)
        body = envelope.body(items, tokens, missing=chance(rng, self.faults.variants))
        return Message(body, items=tuple(notice.change.ref for notice in notices))

    def _forge(
        self,
        kind: str,
        subscription: Subscription,
        neighbours: tuple[Notice, ...],
        at: datetime,
        after: float,
    ) -> asyncio.Task[Post]:
        one, other, *_ = self._cloud.forgers.conversation(at)
        notices = Notice(one, subscription), Notice(other, subscription)
        carried = [one, other] if kind == "swapped-content" else [one]
        for change in carried:
            self._record(change, [subscription], forged=kind)
        refs = tuple(change.ref for change in (*carried, *(notice.change for notice in neighbours)))
        rng = self._own_stream()
        planned = PlannedPost(at, subscription.notification_url, neighbours)

        def make() -> Message | None:
            due = self._still_due(planned)
            if neighbours and not due:
                return None
            materials = Materials(self._cloud.entra, rng, notices, self._cloud.who.foreign_tenant_id, due)
            items = (*(change.ref for change in carried), *(notice.change.ref for notice in due))
            return replace(FORGERIES[kind](materials), items=items)

        return self._send(Outgoing(guid(rng), planned.url, make, refs, kind, by_graph=bool(neighbours)), after)

    def _send(self, outgoing: Outgoing, after: float) -> asyncio.Task[Post]:
        self.planned += 1
        task = self._delivery.send(outgoing, after=after)
        task.add_done_callback(self._count)
        return task

    def _count(self, _: asyncio.Task[Post]) -> None:
        self.finished += 1

    def _possibly_imitated(self) -> Subscription | None:
        living = self._subscriptions.living()
        rich = [each for each in living if each.certificate and each.resource.type.kind == "aiInteraction"]
        return self._rng.choice(rich) if rich else None

    def _imitated(self) -> Subscription:
        if (subscription := self._possibly_imitated()) is None:
            raise ValueError("there is no rich subscription to Copilot interactions to forge posts for")
        return subscription

    def _endless_kinds(self) -> Iterator[str]:
        kinds = list(FORGERIES)
        for _ in itertools.count():
            self._rng.shuffle(kinds)
            yield from kinds


def ledger_content(
    change: Change, tenant_id: str, subscriptions: tuple[str, ...] = (), forged: str | None = None
) -> Content:
    """Return what the ledger keeps of a change."""
    return Content(
        ref=change.ref,
        kind=change.kind,
        change_type=change.change_type,
        tenant_id=tenant_id,
        id=change.id,
        etag=change.etag,
        created=change.created,
        session_id=change.session_id,
        request_id=change.request_id,
        user_ids=tuple(sorted(change.user_ids)),
        sha256=change.sha256,
        size=change.size,
        subscriptions=subscriptions,
        forged=forged,
        canonical=canonical_sha256(change.plaintext),
    )


def _begin(changes: Sequence[Change]) -> datetime:
    return min((change.at for change in changes), default=utc_now())


def _pace(since_begin: timedelta, seconds: float) -> float:
    return since_begin / _DAY * seconds
