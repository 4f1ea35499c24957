"""The table of triggers, drawn from ``function_app.app`` in a process of its own with an empty environment."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

# What a webhook's cold start must not load.
HEAVY = ("azure.storage", "azure.identity", "azure.keyvault", "cryptography", "jwt", "requests", "aiohttp")

PROBE = f"""
import json, sys, threading

sys.path.insert(0, {str(ROOT)!r})
done = []

def watch(event, arguments):
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if writes or event.startswith(("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.mkdir")):
        done.append(event)

sys.addaudithook(watch)
import function_app

done += [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
functions = [
    {{
        "name": function.get_function_name(),
        "bindings": [
            {{name: getattr(value, "value", value) for name, value in binding.items() if name != "methods"}}
            | {{"methods": [getattr(method, "value", method) for method in binding.get("methods") or []]}}
            for binding in function.get_dict_repr()["bindings"]
        ],
    }}
    for function in function_app.app.get_functions()
]
heavy = [name for name in sys.modules if name.startswith({HEAVY!r})]
print(json.dumps({{"functions": functions, "heavy": heavy, "done": done}}))
"""


@pytest.fixture(scope="module")
def drawn() -> dict[str, Any]:
    """What importing function_app gives and does."""
    answer = subprocess.run(
        [sys.executable, "-B", "-c", PROBE], env={}, capture_output=True, check=False, cwd="/", timeout=60
    )
    assert answer.returncode == 0, answer.stderr.decode()
    result: dict[str, Any] = json.loads(answer.stdout)
    return result


@pytest.fixture(scope="module")
def bindings(drawn: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """By function and by type."""
    return {each["name"]: {binding["type"]: binding for binding in each["bindings"]} for each in drawn["functions"]}


def test_the_routes_are_those_of_the_contract(bindings: dict[str, dict[str, dict[str, Any]]]) -> None:
    routes = {
        name: (types["httpTrigger"]["methods"], types["httpTrigger"]["route"], types["httpTrigger"]["authLevel"])
        for name, types in bindings.items()
        if "httpTrigger" in types
    }

    assert routes == {
        "receive_notifications": (["POST"], "notifications", "anonymous"),
        "receive_lifecycle_notifications": (["POST"], "lifecycle", "anonymous"),
        "replay_dead_letters": (["POST"], "dead-letters/replay", "function"),
        "dashboard": (["GET"], "dashboard", "anonymous"),
        "health": (["GET"], "health", "anonymous"),
        "status": (["GET"], "status", "function"),
    }


def test_exactly_the_anonymous_routes_of_the_contract_are_anonymous(
    bindings: dict[str, dict[str, dict[str, Any]]],
) -> None:
    anonymous = {
        name for name, types in bindings.items() if types.get("httpTrigger", {}).get("authLevel") == "anonymous"
    }

    assert anonymous == {"receive_notifications", "receive_lifecycle_notifications", "health", "dashboard"}


def test_the_other_triggers_are_those_of_the_contract(bindings: dict[str, dict[str, dict[str, Any]]]) -> None:
    queues = {name: types["queueTrigger"]["queueName"] for name, types in bindings.items() if "queueTrigger" in types}
    timers = {name: types["timerTrigger"]["schedule"] for name, types in bindings.items() if "timerTrigger" in types}

    assert queues == {
        "store_notifications": "notifications",
        "handle_lifecycle_notifications": "lifecycle",
        "export_window": "exports",
    }
    assert timers == {
        "renew_subscriptions": "%RENEW_SCHEDULE%",
        "plan_exports": "%EXPORT_SCHEDULE%",
        "sweep_inbox": "%SWEEP_SCHEDULE%",
    }


def test_each_webhook_rings_its_own_queue(bindings: dict[str, dict[str, dict[str, Any]]]) -> None:
    rings = {name: types["queue"]["queueName"] for name, types in bindings.items() if "queue" in types}

    assert rings == {"receive_notifications": "notifications", "receive_lifecycle_notifications": "lifecycle"}


def test_every_queue_is_in_the_storage_of_the_host(drawn: dict[str, Any]) -> None:
    connections = [
        binding["connection"] for each in drawn["functions"] for binding in each["bindings"] if "connection" in binding
    ]

    assert set(connections) == {"AzureWebJobsStorage"}


def test_importing_it_with_an_empty_environment_does_nothing_to_the_world(drawn: dict[str, Any]) -> None:
    assert drawn["done"] == []


def test_importing_it_loads_nothing_that_a_webhook_does_not_use(drawn: dict[str, Any]) -> None:
    assert drawn["heavy"] == []


def test_it_sees_the_wiring_and_the_http_adapters_only() -> None:
    tree = ast.parse((ROOT / "function_app.py").read_text())
    imported = {
        f"{node.module}.{name.name}" if isinstance(node, ast.ImportFrom) else name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    ours = {name for name in imported if name.startswith(("shared", "local"))}

    assert ours == {"shared.wiring", "shared.adapters.functions_http", "shared.adapters.dashboard"}


def test_it_is_a_table_with_a_line_for_each_function() -> None:
    tree = ast.parse((ROOT / "function_app.py").read_text())
    bodies = {
        node.name: [statement for statement in node.body if not _is_docstring(statement)]
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert {name: len(body) for name, body in bodies.items()} == dict.fromkeys(bodies, 1)


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
