"""A request to Microsoft Graph and its answer, whether it came by itself or inside a batch."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from multidict import CIMultiDict, CIMultiDictProxy

from local.graph.graph_errors import GraphError, bad_request

Json = dict[str, Any]


@dataclass(frozen=True)
class GraphRequest:
    """`path` is what follows the version, with a leading slash; `query` is decoded; `matched` the path's parameters."""

    method: str
    version: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: "CIMultiDictProxy[str] | CIMultiDict[str]" = field(default_factory=CIMultiDict)
    body: bytes = b""
    matched: Mapping[str, str] = field(default_factory=dict)

    def json_object(self) -> Mapping[str, Any]:
        """Return the body.

        Raises:
            GraphError: 415 for what is not declared as JSON, 400 for what is no object.
        """
        if self.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
            raise GraphError(415, "UnsupportedMediaType", "The Content-Type must be application/json.")
        try:
            body = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise bad_request("Unable to read JSON request payload.") from error
        if not isinstance(body, dict):
            raise bad_request("Empty Payload. JSON content expected.")
        return body


@dataclass(frozen=True)
class GraphAnswer:
    """Status, headers and a JSON body, or none. `content` is a body that is text already."""

    status: int
    body: Json | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None

    def document(self) -> Json | None:
        """Return the body, read where it was text."""
        if self.content is None:
            return self.body
        read: Json = json.loads(self.content)
        return read

    def text(self) -> bytes | None:
        """Return the body as it goes over the network."""
        if self.content is not None or self.body is None:
            return self.content
        return json.dumps(self.body).encode()


def options(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the options of a query.

    Raises:
        GraphError: 400, for one that is there twice.
    """
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise bad_request(
                f"Query option '{name}' was specified more than once, but it must be specified at most once."
            )
        found[name] = value
    return found
