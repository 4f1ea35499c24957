"""The ids by which Microsoft finds one of our requests again, noted on the span around it."""

from typing import Any

from shared.ports import Telemetry

# https://learn.microsoft.com/rest/api/storageservices/common-rest-api-response-headers; Key Vault has the same.
_REQUEST_ID = "x-ms-request-id"
_CLIENT_REQUEST_ID = "x-ms-client-request-id"


def note_request_ids(telemetry: Telemetry, response: Any) -> None:  # noqa: ANN401 - of azure-core's two kinds, or three
    """A ``raw_response_hook`` of the Azure SDKs. Of a call that is repeated, the ids of the last answer stay."""
    answer = response.http_response
    request_id = answer.headers.get(_REQUEST_ID)
    client_request_id = response.http_request.headers.get(_CLIENT_REQUEST_ID)
    ids = {"request_id": request_id, "client_request_id": client_request_id}
    telemetry.note(status=answer.status_code, **{name: value for name, value in ids.items() if value})
