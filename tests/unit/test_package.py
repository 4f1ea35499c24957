"""The package is the app, the whole app and nothing but the app, and the same bytes each time."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from local import package
from local.package import PackageError, pack

ROOT = Path(__file__).resolve().parents[2]
CODE = {path.relative_to(ROOT).as_posix() for path in (ROOT / "shared").rglob("*") if path.is_file()}
CODE = {name for name in CODE if "__pycache__" not in name}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A small repository with everything that must not be deployed."""
    root = tmp_path / "repository"
    shutil.copytree(ROOT / "shared", root / "shared", ignore=shutil.ignore_patterns("__pycache__"))
    for name in [*package.FILES, package.IGNORE]:
        shutil.copy(ROOT / name, root / name)
    for name in (
        "README.md",
        "local.settings.json",
        "local.settings.sample.json",
        "azure.yaml",
        "requirements-dev.txt",
        "tests/unit/test_wiring.py",
        "local/package.py",
        "docs/operations.md",
        "infra/main.bicep",
        "shared/__pycache__/wiring.cpython-311.pyc",
        "shared/stale.pyc",
        ".azure/prod/.env",
        ".venv313/bin/python",
        "dist/app.zip",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("not for Azure")
    return root


def names(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as opened:
        return opened.namelist()


def test_exactly_the_app_is_packed(repository: Path, tmp_path: Path) -> None:
    pack(repository, tmp_path / "app.zip")
    assert names(tmp_path / "app.zip") == sorted(CODE | package.FILES)


def test_this_repository_can_be_packed(tmp_path: Path) -> None:
    """Whatever lies about on this machine: caches, environments, runs."""
    pack(ROOT, tmp_path / "app.zip")
    assert names(tmp_path / "app.zip") == sorted(CODE | package.FILES)


def test_the_same_files_make_the_same_bytes(repository: Path, tmp_path: Path) -> None:
    pack(repository, tmp_path / "one.zip")
    again = tmp_path / "elsewhere"
    shutil.copytree(repository, again)
    for path in again.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(0o700)
    pack(again, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_another_byte_makes_another_package(repository: Path, tmp_path: Path) -> None:
    pack(repository, tmp_path / "one.zip")
    with (repository / "host.json").open("a") as file:
        file.write(" ")
    pack(repository, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() != (tmp_path / "two.zip").read_bytes()


@pytest.mark.parametrize(
    "name",
    ["notes.txt", ".env", "shared/key.pem", "shared/settings.json", "shared.py", "scripts/do.sh", "shared/x.zip"],
)
def test_a_file_that_nobody_thought_of_stops_the_build(repository: Path, tmp_path: Path, name: str) -> None:
    (repository / name).parent.mkdir(exist_ok=True)
    (repository / name).write_text("secret")
    with pytest.raises(PackageError, match=f"not the app: {name}$"):
        pack(repository, tmp_path / "app.zip")
    assert not (tmp_path / "app.zip").exists()


@pytest.mark.parametrize(
    ("forgotten", "found"),
    [
        ("tests", "tests/unit/test_wiring.py"),
        ("local", "local/package.py"),
        ("docs", "docs/operations.md"),
        ("local.settings*.json", "local.settings.json"),
        ("*.pyc", "shared/stale.pyc"),
        (".azure", ".azure/prod/.env"),
    ],
)
def test_a_line_missing_in_funcignore_stops_the_build(
    repository: Path, tmp_path: Path, forgotten: str, found: str
) -> None:
    ignore = repository / package.IGNORE
    kept = [line for line in ignore.read_text().splitlines() if line not in (forgotten, "*.md")]
    assert len(kept) == len(ignore.read_text().splitlines()) - len({forgotten, "*.md"})
    ignore.write_text("\n".join(kept))
    with pytest.raises(PackageError, match="not the app") as raised:
        pack(repository, tmp_path / "app.zip")
    assert found in str(raised.value)


@pytest.mark.parametrize("name", sorted(package.FILES))
def test_an_app_that_lacks_a_part_is_not_packed(repository: Path, tmp_path: Path, name: str) -> None:
    (repository / name).unlink()
    with pytest.raises(PackageError, match=f"lacks {name}"):
        pack(repository, tmp_path / "app.zip")


def test_an_app_without_code_is_not_packed(repository: Path, tmp_path: Path) -> None:
    shutil.rmtree(repository / "shared")
    with pytest.raises(PackageError, match="lacks shared/"):
        pack(repository, tmp_path / "app.zip")


def test_what_is_too_large_is_no_code(repository: Path, tmp_path: Path) -> None:
    (repository / "shared" / "data.py").write_bytes(b"#" * package.MAX_BYTES)
    with pytest.raises(PackageError, match="bytes are more than"):
        pack(repository, tmp_path / "app.zip")


def test_links_are_not_followed(repository: Path, tmp_path: Path) -> None:
    (repository / "shared" / "more.py").symlink_to("/etc/hostname")
    with pytest.raises(PackageError, match="is a link"):
        pack(repository, tmp_path / "app.zip")


def test_patterns_that_tools_read_differently_are_refused(repository: Path, tmp_path: Path) -> None:
    with (repository / package.IGNORE).open("a") as file:
        file.write("!tests\n")
    with pytest.raises(PackageError, match="read differently"):
        pack(repository, tmp_path / "app.zip")


def test_the_command_says_what_it_made(repository: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "local.package", "--root", str(repository), "--output", str(tmp_path / "app.zip")]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    path, size, digest = made.stdout.splitlines()
    assert path == str(tmp_path / "app.zip")
    assert size == f"{(tmp_path / 'app.zip').stat().st_size} bytes"
    assert digest.startswith("sha256 ")
    (repository / "notes.txt").write_text("")
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert refused.returncode == 1
    assert "notes.txt" in refused.stderr


def test_the_package_alone_can_be_indexed(tmp_path: Path) -> None:
    """As on Azure: nothing of the repository is on the path, and the functions are those of the repository."""
    pack(ROOT, tmp_path / "app.zip")
    with zipfile.ZipFile(tmp_path / "app.zip") as archive:
        archive.extractall(tmp_path / "site")
    program = (
        "import function_app as f, shared, pkgutil, importlib\n"
        "print(f.__file__, len(f.app.get_functions()))\n"
        "for each in pkgutil.walk_packages(shared.__path__, 'shared.'): importlib.import_module(each.name)\n"
    )
    command = [sys.executable, "-B", "-c", program]
    run = subprocess.run(
        command,
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    file, functions = run.stdout.split()
    assert file == str(tmp_path / "site" / "function_app.py")
    triggers = re.findall(r"^(?:async )?def ", (ROOT / "function_app.py").read_text(), re.MULTILINE)
    assert int(functions) == len(triggers)
