"""How the local host starts, runs timers, survives storage and stops, on each engine."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from local.azurite import Azurite
from local.functions_host.process import HostProcess, HostProcessError
from tests.integration.local.conftest import APPS, MakeWorld, World


def test_a_timer_fires_on_its_schedule_and_one_at_a_time(make_world: MakeWorld) -> None:
    world = make_world(values={"TICK": "* * * * * *"})
    with world.host:
        ticks = world.seen(until=lambda seen: len(seen) >= 3)
    assert all(tick == {"text": "tick", "past_due": False} for tick in ticks)


def test_without_timers_only_the_admin_call_fires(make_world: MakeWorld) -> None:
    world = make_world(values={"TICK": "* * * * * *"}, timers=False)
    with world.host:
        time.sleep(2.2)
        assert "tick ok" not in world.host.log_text
        assert world.host.run_function("tick") == 202
        assert world.saw("tick") == {"text": "tick", "past_due": False}


@pytest.mark.parametrize("schedule", ["every minute", "0 0 0 30 2 *"])
def test_a_schedule_that_cannot_be_is_said_and_leaves_the_rest_alone(make_world: MakeWorld, schedule: str) -> None:
    world = make_world(values={"TICK": schedule})
    with world.host:
        log = world.host.log_text
        assert "timer tick will not fire by itself: schedule" in log
        assert "timer tock will not fire by itself: app setting NOT_SET" in log
        assert world.host.run_function("tock") == 202
        world.saw("tock")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_functions_end(make_world: MakeWorld, number: signal.Signals) -> None:
    world = make_world()
    with world.host, ThreadPoolExecutor() as threads:
        world.work.send_message("slow")
        slow = threads.submit(requests.get, f"{world.host.url}/api/slow?seconds=2", timeout=10)
        time.sleep(1)
        os.kill(world.host.pid, number)
        time.sleep(0.3)
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{world.host.url}/api/open", timeout=5)
        assert slow.result().text == "slept"
        assert world.host.wait() == 0
    world.saw("slow")
    world.wait_for_depth(world.work_name, 0)


def test_a_second_signal_ends_it_at_once(make_world: MakeWorld) -> None:
    world = make_world()
    with world.host, ThreadPoolExecutor() as threads:
        slow = threads.submit(requests.get, f"{world.host.url}/api/slow?seconds=20", timeout=30)
        time.sleep(0.5)
        os.kill(world.host.pid, signal.SIGTERM)
        time.sleep(0.3)
        os.kill(world.host.pid, signal.SIGTERM)
        assert world.host.wait(5) == 1
        assert slow.exception() is not None


def test_it_restarts_on_its_port_and_takes_up_what_waits(make_world: MakeWorld) -> None:
    world = make_world()
    with world.host:
        port = world.host.port
        world.host.kill()
        world.work.send_message("while it was away")
        world.host.start()
        assert world.host.port == port
        world.saw("while it was away")
        world.host.restart()
        assert requests.get(f"{world.host.url}/api/open", timeout=10).status_code == 200


def test_the_master_key_guards_the_admin_routes(make_world: MakeWorld) -> None:
    world = make_world(function_key="f", master_key="m")
    with world.host:
        status = f"{world.host.url}/admin/host/status"
        assert requests.get(status, timeout=10).status_code == 401
        assert requests.get(status, headers={"x-functions-key": "f"}, timeout=10).status_code == 401
        assert requests.get(status, headers={"x-functions-key": "m"}, timeout=10).status_code == 200
        for path, key, expected in [
            ("keyed", "f", 200),
            ("keyed", "m", 200),
            ("admin-only", "f", 401),
            ("admin-only", "m", 200),
        ]:
            answer = requests.get(f"{world.host.url}/api/{path}?code={key}", timeout=10)
            assert (path, key, answer.status_code) == (path, key, expected)


def test_without_keys_any_caller_passes(make_world: MakeWorld) -> None:
    world = make_world()
    with world.host:
        for path in ("open", "keyed", "admin-only"):
            assert requests.get(f"{world.host.url}/api/{path}", timeout=10).status_code == 200


@pytest.mark.parametrize(
    ("app", "message"),
    [
        ("broken_import", "KeyError: 'no such key'"),
        ("wrong_binding", "mistaken"),
        ("unknown_binding", "blobTrigger bindings are not hosted here"),
        ("nothing_there", "host.json: cannot be read"),
    ],
)
def test_an_app_that_does_not_load_is_told_in_full_and_exit_1(make_world: MakeWorld, app: str, message: str) -> None:
    with pytest.raises(HostProcessError, match="ended with code 1") as caught:
        make_world(app=app).host.start()
    assert message in str(caught.value)


def test_a_storage_connection_that_is_missing_is_named(make_world: MakeWorld) -> None:
    with pytest.raises(HostProcessError, match="AzureWebJobsStorage__queueServiceUri is set"):
        make_world(values={"AzureWebJobsStorage": ""}).host.start()


def test_a_port_that_is_taken_is_named(make_world: MakeWorld, world: World) -> None:
    with pytest.raises(HostProcessError, match=f"cannot listen on 127.0.0.1:{world.host.port}"):
        make_world(port=world.host.port).host.start()


def test_storage_that_goes_away_is_waited_out(make_world: MakeWorld, tmp_path: Path) -> None:
    with Azurite(location=tmp_path) as own:
        world = make_world(values={"AzureWebJobsStorage": own.connection_string})
        with world.host:
            own.stop()
            world.wait_for_log("is out of reach, polling on")
            assert requests.post(f"{world.host.url}/api/enqueue", data=b"x", timeout=10).status_code == 500
            own.start()
            world.wait_for_log("is back")
            assert requests.post(f"{world.host.url}/api/enqueue", data=b"after", timeout=10).status_code == 202
            world.wait_for_log("work ok")


def test_it_ends_with_its_parent(engine: str, azurite: Azurite) -> None:
    settings = {
        "AzureWebJobsStorage": azurite.connection_string,
        "HANGING_STORAGE": "",
        "WORK": "parent",
        "SEEN": "parent-seen",
    }
    with HostProcess(settings, app=APPS / "conformance", engine=engine) as host:
        process = host._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.close()
        assert host.wait(10) == 0
