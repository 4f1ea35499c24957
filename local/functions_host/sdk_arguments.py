"""The two arguments that a function gets beside its trigger: `func.Out` and `func.Context`."""

import threading
from typing import Any

import azure.functions as func

_THREAD_LOCAL = threading.local()


class OutValue(func.Out[object]):
    """Holds what a function sets; None means that nothing is to be written."""

    def __init__(self) -> None:
        self.value: object = None

    def set(self, val: object) -> None:
        """Remember the value; the last one wins."""
        self.value = val

    def get(self) -> object:
        """The value that was set."""
        return self.value


class InvocationContext(func.Context):
    """Names the invocation. There is no trace or retry context here: nothing local produces one."""

    def __init__(self, name: str, directory: str, invocation_id: str) -> None:
        self._name = name
        self._directory = directory
        self._invocation_id = invocation_id

    @property
    def invocation_id(self) -> str:
        """The id in the host's log lines."""
        return self._invocation_id

    @property
    def function_name(self) -> str:
        """The function's name."""
        return self._name

    @property
    def function_directory(self) -> str:
        """The folder that holds the function's file."""
        return self._directory

    @property
    def thread_local_storage(self) -> Any:  # noqa: ANN401 - the SDK says type[local] and means an instance
        """Where a function's own threads may note the invocation id."""
        return _THREAD_LOCAL

    @property
    def trace_context(self) -> Any:  # noqa: ANN401 - the SDK says that there always is one
        """None."""
        return None

    @property
    def retry_context(self) -> Any:  # noqa: ANN401 - the SDK says that there always is one
        """None."""
        return None
