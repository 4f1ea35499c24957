#!/usr/bin/env python3
"""The Azure CLI as far as infra/*.sh use it, on a directory and a vault in the JSON file that FAKE_AZ names."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

STATE = Path(os.environ["FAKE_AZ"])
GRAPH_APP = "00000003-0000-0000-c000-000000000000"


def asked(text: str, data: Any) -> Any:  # noqa: ANN401 - JSON
    """The few forms of JMESPath that the scripts write."""
    if found := re.fullmatch(r"length\((.*)\)", text):
        return len(asked(found[1], data))
    if found := re.fullmatch(r"(\w*)\[\?(\w+)(?:=='(.*?)')?\](?:\.(\w+))?", text):
        name, key, value, member = found.groups()
        rows = [row for row in (data[name] if name else data) if (row[key] if value is None else row[key] == value)]
        return [row[member] for row in rows] if member else rows
    if found := re.fullmatch(r"(\w+)\[0\]\.(\w+)", text):
        return data[found[1]][0][found[2]] if data[found[1]] else None
    for name in text.split("."):
        data = data[name]
    return data


def directory(state: dict[str, Any], method: str, url: str, body: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """Microsoft Graph's answer; whatever is not GET changes the state."""
    path, _, query = url.partition("/v1.0/")[2].partition("?")
    if method == "post" and path == "applications":
        body |= {"appId": f"app-of-{body['displayName']}", "credentials": []}
    if method == "post" and path == "servicePrincipals":
        body |= {"id": f"principal-of-{body['appId']}", "assignments": []}
    rows = rows_of(state, path)
    if method == "post":
        if body in rows:
            sys.exit("ERROR: Bad Request: it already exists")
        rows.append(body)
    elif method == "patch":
        next(row for row in state["servicePrincipals"] if path.endswith(row["id"])).update(body)
    elif found := re.fullmatch(r"\$filter=(\w+) eq '(.*?)'.*", query):
        return {"value": [row for row in rows if row[found[1]] == found[2]]}
    elif GRAPH_APP in path:
        return next(row for row in rows if row["appId"] == GRAPH_APP)
    return {"value": rows}


def rows_of(state: dict[str, Any], path: str) -> Any:  # noqa: ANN401 - JSON
    if path.endswith("/federatedIdentityCredentials"):
        return next(row for row in state["applications"] if f"'{row['appId']}'" in path)["credentials"]
    if path.endswith("/appRoleAssignments"):
        return next(row for row in state["servicePrincipals"] if f"/{row['id']}/" in path)["assignments"]
    return state[re.split(r"[/(]", path)[0]]


def vault(state: dict[str, Any], action: str, options: dict[str, str]) -> Any:  # noqa: ANN401 - JSON
    if state["denied"]:
        state["denied"] -= 1
        sys.exit("ERROR: (Forbidden) Caller is not authorized")
    if action == "create":
        policy = json.loads(Path(options["--policy"].removeprefix("@")).read_text())
        state["certificates"].append({"name": options["--name"], "policy": policy})
    return state["certificates"]


def answer(state: dict[str, Any], words: list[str], options: dict[str, str]) -> Any:  # noqa: ANN401 - JSON
    match words:
        case ["cloud" | "account", "show"]:
            return state["cloud"]
        case ["keyvault", "certificate", action]:
            return vault(state, action, options)
        case ["rest"] if "/v1.0/" in options["--url"]:
            return directory(state, options["--method"], options["--url"], json.loads(options.get("--body", "{}")))
        case _:
            return {}


def main() -> None:
    arguments = sys.argv[1:]
    first = next(index for index, word in enumerate(arguments) if word.startswith("--"))
    names = [index for index, word in enumerate(arguments) if word.startswith("--")]
    options = {arguments[index]: arguments[index + 1] for index in names}
    state = json.loads(STATE.read_text())
    state["calls"].append(arguments)
    try:
        found = answer(state, arguments[:first], options)
    finally:
        STATE.write_text(json.dumps(state))
    if options.get("--output") == "tsv":
        found = asked(options["--query"], found)
        lines = found if isinstance(found, list) else [] if found is None else [found]
        sys.stdout.write("".join(f"{line}\n" for line in lines))


main()
