"""Leads a process's connections elsewhere, with no setting changed."""

import contextlib
import socket
from collections.abc import Iterator, Mapping
from typing import Any


@contextlib.contextmanager
def detour(ports: Mapping[int, int]) -> Iterator[None]:
    """Connections of this process to loopback ports go to other ports: to the proxy, with no setting changed."""
    connect = socket.socket.connect

    def elsewhere(self: socket.socket, address: Any) -> None:  # noqa: ANN401 - whatever families have
        if isinstance(address, tuple) and address[1] in ports:
            address = ("127.0.0.1", ports[address[1]])
        connect(self, address)

    socket.socket.connect = elsewhere  # type: ignore[assignment,method-assign] # undone below
    try:
        yield
    finally:
        socket.socket.connect = connect  # type: ignore[method-assign] # as above
