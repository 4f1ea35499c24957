"""The text of a queue message: base64 or plain, as host.json says.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#hostjson-settings (messageEncoding)
"""

import base64

from local.functions_host.host_json import Encoding


def encode(body: bytes, encoding: Encoding) -> str:
    """Message text of a body; `ValueError` where plain text was asked for and the body is not UTF-8."""
    return base64.b64encode(body).decode() if encoding == "base64" else body.decode()


def decode(text: str, encoding: Encoding) -> bytes:
    """Body of a message text; `ValueError` where it is not base64 and should be."""
    return base64.b64decode(text, validate=True) if encoding == "base64" else text.encode()
