"""Reads a `local.settings.json`-shaped file.

Shape: https://learn.microsoft.com/azure/azure-functions/functions-develop-local#local-settings-file
`Host.FunctionKey` and `Host.MasterKey` are ours: Core Tools never asks for keys, and a webhook wants that tested.
"""

import json
import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

from local.functions_host.errors import SettingsError


@dataclass(frozen=True)
class SettingsFile:
    """App settings and the keys that callers must show; a key that is None is never asked for."""

    values: Mapping[str, str] = field(repr=False)
    function_key: str | None = field(default=None, repr=False)
    master_key: str | None = field(default=None, repr=False)


def read_settings(path: Path) -> SettingsFile:
    """Read and check the file; every fault is a `SettingsError` that names the file and the entry."""
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(document, dict):
        raise SettingsError(f"{path}: not a JSON object")
    if document.get("IsEncrypted"):
        raise SettingsError(f"{path}: IsEncrypted is true; decrypt it with `func settings decrypt` first")
    host = _section(path, document, "Host")
    return SettingsFile(
        values={
            name: _text(path, f"Values.{name}", value) for name, value in _section(path, document, "Values").items()
        },
        function_key=_key(path, host, "FunctionKey"),
        master_key=_key(path, host, "MasterKey"),
    )


def apply(settings: SettingsFile, app: Path, environ: MutableMapping[str, str] = os.environ) -> None:
    """Put the values into the environment, as the app will read them.

    The file wins over the surrounding environment (Core Tools does it the other way round): whoever names a file
    means that file. WEBSITE_* stays unset, so that the app can tell that it is not on Azure.
    """
    environ.setdefault("FUNCTIONS_WORKER_RUNTIME", "python")
    environ.setdefault("AZURE_FUNCTIONS_ENVIRONMENT", "Development")
    environ["AzureWebJobsScriptRoot"] = str(app)
    environ.update(settings.values)


def _section(path: Path, document: Mapping[str, object], name: str) -> Mapping[str, object]:
    section = document.get(name, {})
    if not isinstance(section, dict):
        raise SettingsError(f"{path}: {name} is not a JSON object")
    return section


def _text(path: Path, name: str, value: object) -> str:
    # Only strings are settings on Azure; a bare true or 5 is what people type, and has one reading.
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise SettingsError(f"{path}: {name} must be a string; put JSON into a string")


def _key(path: Path, host: Mapping[str, object], name: str) -> str | None:
    value = host.get(name)
    if value is None or (isinstance(value, str) and value):
        return value
    raise SettingsError(f"{path}: Host.{name} must be a string that is not empty")
