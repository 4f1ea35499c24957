"""Makes dist/app.zip, which holds exactly what Azure needs: ``make package``.

Left out is what ``.funcignore`` names, as Core Tools and azd do. The rest must be the app and nothing else, so a file
that nobody thought of stops the build instead of being deployed. The same files make the same bytes anywhere: names
in order, one date, one mode, and no compression, whose output differs between zlib's versions.
"""

import argparse
import hashlib
import os
import sys
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
IGNORE = ".funcignore"
FILES = frozenset({"constraints.txt", "function_app.py", "host.json", "requirements.txt"})
# The code, and the dashboard's page with what it loads.
FOLDER, SUFFIXES = "shared", frozenset({".py", ".html", ".css", ".js", ".svg"})
# Some ten times of what it is: dependencies are installed by Azure's remote build and never packed.
MAX_BYTES = 5 * 1024 * 1024
DATE = (1980, 1, 1, 0, 0, 0)
MODE = 0o100644 << 16


class PackageError(Exception):
    """What was found is not the app. The message names it."""


def main() -> int:
    """Pack, check, and say what was made; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository (default: this one)")
    parser.add_argument("--output", type=Path, help="the archive to write (default: dist/app.zip in the repository)")
    arguments = parser.parse_args()
    output = arguments.output or arguments.root / "dist" / "app.zip"
    try:
        pack(arguments.root, output)
    except PackageError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    content = output.read_bytes()
    sys.stdout.write(f"{output}\n{len(content)} bytes\nsha256 {hashlib.sha256(content).hexdigest()}\n")
    return 0


def pack(root: Path, output: Path) -> None:
    """Write the archive. Raises PackageError, and then leaves no archive behind."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.unlink(missing_ok=True)
    names = sorted(not_ignored(root))
    check(names, sum((root / name).stat().st_size for name in names))
    part = output.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            entry = zipfile.ZipInfo(name, DATE)
            entry.external_attr, entry.create_system = MODE, 3
            archive.writestr(entry, (root / name).read_bytes())
    part.replace(output)


def check(names: list[str], size: int) -> None:
    """The app, the whole app and nothing but the app."""
    missing = FILES - set(names)
    foreign = [name for name in names if name not in FILES and not _is_ours(PurePosixPath(name))]
    if missing:
        raise PackageError(f"the app lacks {', '.join(sorted(missing))}")
    if foreign:
        raise PackageError(f"{IGNORE} lets through what is not the app: {', '.join(foreign)}")
    if not any(name.startswith(f"{FOLDER}/") for name in names):
        raise PackageError(f"the app lacks {FOLDER}/")
    if size > MAX_BYTES:
        raise PackageError(f"{size} bytes are more than {MAX_BYTES}: something is in it that is not code")


def not_ignored(root: Path) -> Iterator[str]:
    """The files that ``.funcignore`` does not name, as paths below the root."""
    patterns = _patterns(root / IGNORE)
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not _matches(name, patterns)]
        kept = [name for name in files if not _matches(name, patterns) and name != IGNORE]
        for name in [*kept, *folders]:
            if (Path(folder) / name).is_symlink():
                raise PackageError(f"{Path(folder) / name} is a link: it would be packed as what it points to")
        yield from ((Path(folder) / name).relative_to(root).as_posix() for name in kept)


def _is_ours(path: PurePosixPath) -> bool:
    return path.parts[0] == FOLDER and len(path.parts) > 1 and path.suffix in SUFFIXES


def _patterns(ignore: Path) -> list[str]:
    lines = (line.strip() for line in ignore.read_text(encoding="utf-8").splitlines())
    patterns = [line for line in lines if line and not line.startswith("#")]
    for pattern in patterns:
        if "/" in pattern or pattern.startswith("!"):
            raise PackageError(
                f"{ignore.name}: {pattern} is read differently by each tool; name a file or folder alone"
            )
    return patterns


def _matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


if __name__ == "__main__":
    sys.exit(main())
