"""Compares a function's parameters with its bindings, as the worker does when it loads an app.

Found here it is a line at start; found on Azure the function is missing from the app.
"""

import inspect
import typing
from collections.abc import Callable, Iterable
from types import GenericAlias
from typing import Any

import azure.functions as func
from azure.functions.decorators.core import Binding

from local.functions_host.errors import LoadError
from local.functions_host.sdk_converters import converter

_OUT = 1


def check_signature(name: str, call: Callable[..., Any], bindings: Iterable[Binding]) -> bool:
    """Say whether the function takes a `context`; a mismatch is a `LoadError` that names the function."""
    bound = {binding.name: binding for binding in bindings if binding.name != "$return"}
    parameters = set(inspect.signature(call).parameters)
    takes_context = "context" in parameters and "context" not in bound
    unbound = parameters - set(bound) - {"context"}
    if unbound:
        raise LoadError(f"{name}: no binding for the parameters {sorted(unbound)}")
    if missing := set(bound) - parameters:
        raise LoadError(f"{name}: no parameter for the bindings {sorted(missing)}")
    annotations = typing.get_type_hints(call)
    for parameter, binding in bound.items():
        if parameter in annotations:
            _check_annotation(name, binding, annotations[parameter])
    return takes_context


def _check_annotation(name: str, binding: Binding, annotation: object) -> None:
    is_out = typing.get_origin(annotation) is func.Out
    if is_out != (binding.direction == _OUT):
        raise LoadError(f"{name}: {binding.name} must {'not ' if is_out else ''}be an azure.functions.Out[...]")
    inner = typing.get_args(annotation)[0] if is_out else annotation
    # The worker knows typing.List[str] and not list[str]; a mere list or str needs no look into.
    if isinstance(inner, GenericAlias) or not _accepts(str(binding.type), inner, is_out=is_out):
        raise LoadError(f"{name}: {binding.type} parameter {binding.name} cannot be annotated as {annotation!r}")


def _accepts(binding_type: str, annotation: object, *, is_out: bool) -> bool:
    if not is_out:
        accepts_input = converter(binding_type).check_input_type_annotation
        return isinstance(annotation, type) and bool(accepts_input(annotation))
    return annotation in (str, bytes) or bool(converter(binding_type).check_output_type_annotation(annotation))
