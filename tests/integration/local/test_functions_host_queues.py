"""How the local host pumps queues, on each engine."""

import socket
import time

import requests

from tests.integration.local.conftest import MakeWorld, World


def test_an_output_is_on_the_queue_before_the_answer(world: World) -> None:
    answer = requests.post(f"{world.host.url}/api/enqueue", data="from http: ü€".encode(), timeout=10)
    assert answer.status_code == 202
    seen = world.saw("from http: ü€")
    assert seen["count"] == 1
    assert seen["inserted"]


def test_a_list_is_as_many_messages(world: World) -> None:
    answer = requests.post(f"{world.host.url}/api/enqueue-many", data='{"text": "1"},{"text": "2"}', timeout=10)
    assert answer.status_code == 202
    world.seen(until=lambda seen: {"1", "2"} <= {str(one["text"]) for one in seen})


def test_success_deletes(world: World) -> None:
    world.work.send_message("done")
    world.saw("done")
    world.wait_for_depth(world.work_name, 0)


def test_failure_is_repeated_after_the_visibility_timeout_and_then_poison(world: World) -> None:
    poison = world.queue(f"{world.work_name}-poison")
    before = world.depth(poison.queue_name)
    started = time.monotonic()
    world.work.send_message("fail: ü")
    world.wait_for_depth(poison.queue_name, before + 1)
    # Three tries (maxDequeueCount), one second (visibilityTimeout) between them.
    assert time.monotonic() - started >= 2
    for count in (1, 2, 3):
        assert f"on purpose, try {count}" in world.host.log_text
    assert "on purpose, try 4" not in world.host.log_text
    assert next(iter(poison.receive_messages())).content == "fail: ü"
    world.wait_for_depth(world.work_name, 0)


def test_a_message_received_too_often_is_poison_unseen(make_world: MakeWorld) -> None:
    world = make_world()
    world.work.create_queue()
    world.work.send_message("fail unseen")
    for _ in range(3):
        message = next(iter(world.work.receive_messages(visibility_timeout=30)))
        world.work.update_message(message, visibility_timeout=0)
    with world.host:
        world.wait_for_depth(f"{world.work_name}-poison", 1)
        assert "work failed" not in world.host.log_text


def test_text_that_is_not_base64_is_poison(world: World) -> None:
    before = world.depth(f"{world.work_name}-poison")
    world.service.get_queue_client(world.work_name).send_message("no base64!")
    world.wait_for_depth(f"{world.work_name}-poison", before + 1)


def test_no_more_run_at_once_than_batch_and_threshold(make_world: MakeWorld) -> None:
    world = make_world()
    world.work.create_queue()
    for number in range(6):
        world.work.send_message(f"slow {number}")
    started = time.monotonic()
    with world.host:
        world.seen(until=lambda seen: len(seen) == 6)
    # Each takes two seconds and at most batchSize 2 + newBatchThreshold 1 run together.
    assert time.monotonic() - started >= 4


def test_a_long_run_keeps_its_message(make_world: MakeWorld) -> None:
    world = make_world(extra_arguments=["--message-lease", "2"])
    with world.host:
        queue = world.queue(f"{world.work_name}-async")
        queue.send_message("2.9")
        assert world.saw("2.9")["count"] == 1
        world.wait_for_depth(queue.queue_name, 0)
        time.sleep(1)
        assert world.host.log_text.count("work_async ok") == 1


def test_a_killed_host_gives_its_message_back_when_the_lease_ends(make_world: MakeWorld) -> None:
    world = make_world(extra_arguments=["--message-lease", "3"])
    with world.host:
        world.work.send_message("slow and killed")
        world.wait_for_depth(world.work_name, 1)
        deadline = time.monotonic() + 10
        while world.work.peek_messages():
            assert time.monotonic() < deadline
        world.host.kill()
        world.host.start()
        assert world.saw("slow and killed")["count"] == 2


def test_an_admin_call_runs_a_queue_function_with_its_input(world: World) -> None:
    assert world.host.run_function("WORK", "by hand: ü") == 202
    assert world.saw("by hand: ü")["count"] == 1


def test_a_queue_that_hangs_is_a_500_in_time(make_world: MakeWorld) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}/account"
        connection = f"AccountName=account;AccountKey=a2V5;QueueEndpoint={endpoint};"
        world = make_world(values={"HANGING_STORAGE": connection})
        with world.host:
            started = time.monotonic()
            answer = requests.post(f"{world.host.url}/api/enqueue-nowhere", data=b"x", timeout=10)
            assert answer.status_code == 500
            assert time.monotonic() - started < 4
            world.wait_for_log("queue output could not be written")


def test_a_message_too_big_is_a_500(world: World) -> None:
    answer = requests.post(f"{world.host.url}/api/enqueue", data=b"x" * 60_000, timeout=10)
    assert answer.status_code == 500
