"""When two JSON texts are the same resource: the export of a version differs in form from its notification."""

import hashlib
import json
from typing import Any


def canonical_sha256(content: bytes | None) -> str | None:
    """Return a digest without key order, `@odata.*` and nulls; None for what is no JSON."""
    try:
        document = json.loads(content or b"")
        text = json.dumps(_bare(document), sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError):
        return None
    return hashlib.sha256(text.encode()).hexdigest()


def _bare(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return {name: _bare(each) for name, each in value.items() if each is not None and "@odata." not in name}
    if isinstance(value, list):
        return [_bare(each) for each in value]
    return value
