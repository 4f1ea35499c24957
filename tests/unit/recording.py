"""Which settings the app reads: it is given an environment without any, which remembers what was looked for."""

from collections.abc import Iterator, Mapping

import pytest

from shared.core.errors import SettingsError
from shared.settings import read_settings


class _Recording(Mapping[str, str]):
    """An environment without anything in it, which remembers what was looked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def names_read() -> set[str]:
    """The names that the app looks for, the forms of a storage connection counted as one."""
    environment = _Recording()
    with pytest.raises(SettingsError):
        read_settings(environment)
    return {name.partition("__")[0] for name in environment.names}
