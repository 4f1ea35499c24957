"""Finds the SDK's converter for a kind of binding: one place for an untyped corner of azure-functions."""

from typing import Any

from azure.functions.meta import get_binding_registry


def converter(kind: str) -> type[Any]:
    """The class whose `decode`, `encode` and `check_*_type_annotation` serve bindings of this kind."""
    found: type[Any] = get_binding_registry().get(kind)  # type: ignore[no-untyped-call] # see above
    return found
