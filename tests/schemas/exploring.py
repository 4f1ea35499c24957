"""Runs schemathesis: requests made up from an OpenAPI description, good and bad, and their answers held against it.

In a process of its own, since it brings a pytest plugin and warnings that are not ours. Always the same requests.
https://schemathesis.readthedocs.io
"""

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml  # type: ignore[import-untyped] # stubs for one call in tests are not worth a package

Json = dict[str, Any]
FOLDER = Path(__file__).parent
# Hypothesis keeps a table of Unicode there, which takes seconds to make.
_ENVIRONMENT = {"HYPOTHESIS_STORAGE_DIRECTORY": str(FOLDER.parents[1] / ".hypothesis")}
# What an answer is held against. Whatever is wrong with one of them fails the exploration.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "ignored_auth",
)
_LENIENT = """[[operations]]
include-operation-id = "{name}"
checks.negative_data_rejection.expected-statuses = ["2xx", "4xx"]
"""
_SECONDS = 120
_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Exploration:
    """What came of it: `told` is schemathesis' report, `answers` the statuses that were seen of each operation."""

    passed: bool
    told: str
    answers: Mapping[str, frozenset[int]]


def described(name: str, **schemas: Json) -> Json:
    """Return a description, some of its schemas replaced by what exists where it is going to be tried."""
    document: Json = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    known = document["components"]["schemas"]
    if unknown := set(schemas) - set(known):
        raise ValueError(f"{name} has no {', '.join(sorted(unknown))}")
    known |= schemas
    return document


def one_of(*values: str) -> Json:
    """Return the schema of a choice among texts that exist."""
    return {"type": "string", "enum": list(values)}


def either(values: Iterable[str], other: Json) -> Json:
    """Return the schema of texts that exist, and of others that do not."""
    return {"anyOf": [one_of(*values), other]}


def explore(
    description: Json,
    url: str,
    folder: Path,
    *,
    headers: Mapping[str, str],
    checks: Iterable[str] = CHECKS,
    lenient: Iterable[str] = (),
    authority: Path | None = None,
    examples: int = 6,
    arguments: Iterable[str] = (),
) -> Exploration:
    """Try what is described at `url`; `authority` vouches for its certificate, `folder` takes files.

    Operations that are `lenient` may take what their description does not.
    """
    (folder / "described.json").write_text(json.dumps(description))
    (folder / "schemathesis.toml").write_text("".join(_LENIENT.format(name=name) for name in lenient))
    command = [sys.executable, "-m", "schemathesis.cli", "run", "described.json", "--url", url, "--no-color"]
    command += ["--generation-deterministic", "--max-examples", str(examples), "--continue-on-failure", "--no-shrink"]
    command += ["--checks", ",".join(checks), "--report", "har", "--report-har-path", "seen.har"]
    command += [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
    command += ["--tls-verify", str(authority)] if authority else []
    done = subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env={**os.environ, **_ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    seen = json.loads((folder / "seen.har").read_text(encoding="utf-8")) if done.returncode in (0, 1) else {}
    return Exploration(done.returncode == 0, done.stdout + done.stderr, _answers(description, url, seen))


def _answers(description: Json, url: str, seen: Json) -> Mapping[str, frozenset[int]]:
    found: defaultdict[str, set[int]] = defaultdict(set)
    operations = _operations(description)
    for entry in seen.get("log", {}).get("entries", ()):
        path = urlsplit(entry["request"]["url"]).path.removeprefix(urlsplit(url).path)
        for (method, pattern), name in operations.items():
            if method == entry["request"]["method"] and pattern.fullmatch(path):
                found[name].add(entry["response"]["status"])
                break
    return {name: frozenset(statuses) for name, statuses in found.items()}


def _operations(description: Json) -> Mapping[tuple[str, re.Pattern[str]], str]:
    return {
        (method.upper(), re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)))): operations[method]["operationId"]
        for path, operations in description["paths"].items()
        for method in _METHODS
        if method in operations
    }
