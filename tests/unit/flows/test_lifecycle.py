import contextlib
import json
from collections import Counter
from datetime import timedelta

import pytest

from shared.core.errors import Busy, GraphUnavailable, MalformedNotification, StorageUnavailable
from shared.core.instants import format_instant
from shared.core.notification import LATEST
from shared.core.subscription_watch import CHALLENGE_GRACE
from shared.flows.lifecycle import Heeding
from tests.fakes import Crash, MemoryContainer
from tests.unit.flows.subscribing import KEY, MESSAGES, SECRET, TENANT_WIDE, Subscribing

PREVIOUS = "the-previous-clientState"
NAME = "lifecycle/2026/01/05/09/5b0b63a4-6a0f-4b7e-9b32-8c2c7d0d4f{:02x}.json"


class Hearing(Subscribing):
    """An app whose subscriptions live, with an inbox for what Graph tells about them."""

    def __init__(self, *entries: object) -> None:
        super().__init__(*entries)
        self.inbox = MemoryContainer("inbox", self.world)
        self.dead_letters = MemoryContainer("dead-letters", self.world)
        self.run()
        self.forget_calls()
        self._kept = 0

    @property
    def heeding(self) -> Heeding:
        return Heeding(self.inbox, self.dead_letters, self.reconciling, (SECRET, PREVIOUS))

    def item(self, event: str = "reauthorizationRequired", **differing: object) -> dict[str, object]:
        return {"subscriptionId": self.tracked.id, "clientState": SECRET, "lifecycleEvent": event, **differing}

    def keep(self, *items: object) -> str:
        return self.keep_bytes(json.dumps({"value": list(items)}).encode())

    def keep_bytes(self, body: bytes) -> str:
        self._kept += 1
        name = NAME.format(self._kept)
        self.inbox.create(name, body, {"receivedat": format_instant(self.world.now)})
        return name

    def hear(self, *items: object) -> None:
        self.heeding.handle(self.keep(*items))

    @property
    def reasons(self) -> Counter[str]:
        return self.dead_letters.in_folders()


def test_a_challenge_is_met_by_one_renewal() -> None:
    setup = Hearing()
    setup.graph.challenge(setup.only.id)
    setup.world.pass_time(seconds=2)
    setup.hear(setup.item())

    assert setup.changes() == {"PATCH": 1}
    assert setup.only.asked_at is None
    assert setup.inbox.blobs == {}
    assert setup.gaps == []


def test_to_reauthorize_is_never_asked_beside_a_renewal() -> None:
    setup = Hearing()
    setup.hear(setup.item())
    setup.run(3)

    assert not [call for call in setup.world.calls if "reauthorize" in call]


def test_a_challenge_met_late_is_exported_from_when_it_came() -> None:
    setup = Hearing()
    setup.world.fail("graph.", GraphUnavailable("away"))
    name = setup.keep(setup.item())
    heard = setup.world.now
    with pytest.raises(GraphUnavailable):
        setup.heeding.handle(name)
    assert name in setup.inbox.blobs

    setup.world.recover()
    setup.world.now += CHALLENGE_GRACE + timedelta(minutes=1)
    setup.heeding.handle(name)
    setup.run()

    assert setup.inbox.blobs == {}
    assert setup.changes()["PATCH"] == 1
    assert setup.gaps == [(heard, heard + CHALLENGE_GRACE + timedelta(minutes=1))]


def test_a_removal_is_looked_at_and_what_is_gone_is_made_again_and_exported() -> None:
    setup = Hearing()
    first = setup.only
    setup.graph.remove(first.id)
    setup.world.pass_time(seconds=30)
    setup.hear(setup.item("subscriptionRemoved"))

    assert setup.only.id != first.id
    assert setup.uncovered(*setup.graph.silent(TENANT_WIDE, first.born, setup.world.now)) == []
    assert len(setup.gaps) == 1


def test_a_removal_that_is_not_true_changes_nothing() -> None:
    setup = Hearing()
    setup.hear(setup.item("subscriptionRemoved"))

    assert setup.changes() == {}
    assert setup.world.called("graph.list") == 1
    assert setup.gaps == []


def test_missed_notifications_are_exported() -> None:
    setup = Hearing()
    setup.hear(setup.item("missed"))

    assert setup.gaps == [(setup.world.now - LATEST, setup.world.now)]
    assert setup.changes() == {}


@pytest.mark.parametrize("event", ["REAUTHORIZATIONREQUIRED", "reauthorizationrequired"])
def test_events_are_known_in_any_case(event: str) -> None:
    setup = Hearing()
    setup.hear(setup.item(event))

    assert setup.changes() == {"PATCH": 1}


def test_events_that_are_mixed_in_a_post_are_all_heard() -> None:
    setup = Hearing(TENANT_WIDE, MESSAGES)
    others = setup.watch.tracked[MESSAGES.lower()].id
    setup.graph.remove(others)
    setup.hear(
        setup.item("subscriptionRemoved", subscriptionId=others),
        setup.item("missed"),
        setup.item("reauthorizationRequired"),
    )

    assert setup.changes() == {"PATCH": 1, "POST": 1}
    assert setup.world.called("graph.list") == 1
    assert (setup.world.now - LATEST, setup.world.now) in setup.gaps_of(TENANT_WIDE)


@pytest.mark.parametrize("event", ["reauthorizationRequired", "subscriptionRemoved", "missed"])
@pytest.mark.parametrize("items", [1, 50])
def test_a_storm_is_one_look_in_a_minute_and_no_more(event: str, items: int) -> None:
    setup = Hearing()
    for _ in range(240):
        setup.hear(*[setup.item(event)] * items)
        setup.world.pass_time(seconds=0.5)

    assert setup.world.called("graph.list") == 2
    assert sum(setup.changes().values()) <= 2
    assert len(setup.gaps_of()) <= 2
    assert setup.inbox.blobs == {}


@pytest.mark.parametrize("event", ["reauthorizationRequired", "subscriptionRemoved", "missed"])
def test_of_a_subscription_that_is_none_of_ours_nothing_is_believed(event: str) -> None:
    setup = Hearing()
    stranger = setup.graph.put(resource="/chats")
    setup.hear(setup.item(event, subscriptionId=stranger.id))

    assert setup.world.called("graph.") == 0
    assert setup.gaps == []
    assert setup.inbox.blobs == {}


def test_ids_compare_without_case() -> None:
    setup = Hearing()
    setup.hear(setup.item(subscriptionId=setup.tracked.id.upper()))

    assert setup.changes() == {"PATCH": 1}


def test_an_event_that_is_not_invented_yet_is_kept_and_its_neighbours_are_heard() -> None:
    setup = Hearing()
    setup.hear(setup.item("subscriptionMoved"), setup.item())

    assert setup.reasons == {"unknown-lifecycle-event": 1}
    assert setup.changes() == {"PATCH": 1}
    assert setup.inbox.blobs == {}


def test_what_does_not_carry_our_client_state_is_kept_and_not_heard() -> None:
    setup = Hearing()
    setup.hear(setup.item(clientState="guessed"), setup.item("missed", clientState=None), setup.item("missed"))

    assert setup.reasons == {"client-state-mismatch": 2}
    assert setup.changes() == {}
    assert len(setup.gaps_of()) == 1


def test_the_previous_client_state_is_good_too() -> None:
    setup = Hearing()
    setup.hear(setup.item(clientState=PREVIOUS))

    assert setup.changes() == {"PATCH": 1}


@pytest.mark.parametrize("name", ["subscriptionId", "lifecycleEvent"])
@pytest.mark.parametrize("value", [None, 5, "", ["x"]])
def test_an_item_without_what_it_must_have_is_kept(name: str, value: object) -> None:
    setup = Hearing()
    setup.hear({**setup.item(), name: value})

    assert setup.reasons == {"malformed-notification": 1}
    assert setup.world.called("graph.") == 0


@pytest.mark.parametrize("body", [b"", b"\xff", b"null", b"[]", b'{"value": {}}', b'{"value"'])
def test_what_is_no_post_at_all_is_kept_as_it_is(body: bytes) -> None:
    setup = Hearing()
    setup.heeding.handle(setup.keep_bytes(body))

    assert setup.reasons == {"malformed-notification": 1}
    assert setup.inbox.blobs == {}


def test_while_another_instance_is_at_it_the_post_stays() -> None:
    setup = Hearing()
    name = setup.keep(setup.item())

    def meanwhile() -> None:
        with pytest.raises(Busy):
            setup.heeding.handle(name)
        assert name in setup.inbox.blobs

    setup.world.meanwhile["graph.list"] = meanwhile
    setup.reconciling.reconcile()
    assert setup.world.meanwhile == {}

    setup.heeding.handle(name)
    assert setup.inbox.blobs == {}
    assert setup.changes() == {"PATCH": 1}


def test_a_post_that_is_done_is_not_done_again() -> None:
    setup = Hearing()
    name = setup.keep(setup.item())
    setup.heeding.handle(name)
    setup.heeding.handle(name)

    assert setup.changes() == {"PATCH": 1}


@pytest.mark.parametrize("name", ["", "x", "../state/subscriptions.json", "lifecycle/x.json", f"{NAME.format(1)}/.."])
def test_a_message_that_is_no_name_is_refused_before_anything_is_read(name: str) -> None:
    setup = Hearing()
    with pytest.raises(MalformedNotification):
        setup.heeding.handle(name)

    assert setup.world.calls == []


def test_where_subscriptions_are_not_managed_a_post_is_done_with() -> None:
    setup = Hearing()
    setup.reconciling = setup.app(TENANT_WIDE)
    unmanaged = Heeding(
        setup.inbox,
        setup.dead_letters,
        setup.unmanaged(),
        (SECRET,),
    )
    unmanaged.handle(setup.keep(setup.item()))

    assert setup.inbox.blobs == {}
    assert setup.world.called("graph.") == 0


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("error", [Crash(), StorageUnavailable("lost")], ids=repr)
@pytest.mark.parametrize("event", ["subscriptionRemoved", "reauthorizationRequired", "missed"])
def test_wherever_it_ends_the_post_stays_until_all_is_safe(event: str, error: BaseException, after: bool) -> None:
    for number in range(100):
        setup = Hearing()
        first = setup.only
        if event == "subscriptionRemoved":
            setup.graph.remove(first.id)
        else:
            setup.graph.challenge(first.id)
        name = setup.keep(setup.item(event), setup.item("subscriptionMoved"))
        setup.forget_calls()
        setup.world.fail_call(number, error, after=after)
        with contextlib.suppress(Crash, StorageUnavailable, GraphUnavailable, Busy):
            setup.heeding.handle(name)
        calls = len(setup.world.calls)
        setup.world.recover()
        setup.world.pass_time(minutes=5)
        setup.run()
        setup.heeding.handle(name)

        assert setup.inbox.blobs == {}
        assert setup.reasons == {"unknown-lifecycle-event": 1}
        assert setup.graph.most_at_once == {KEY: 1}
        assert setup.uncovered(*setup.graph.silent(TENANT_WIDE, first.born, setup.world.now)) == []
        assert (setup.only.asked_at is None) == (event != "missed")
        assert any(end - begin >= LATEST for begin, end in setup.gaps_of()) == (event == "missed")
        if calls <= number:
            return
    pytest.fail("it never ended")
