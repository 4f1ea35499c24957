"""What a 409 of Blob Storage means: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes.

The SDK raises ResourceExistsError for every one of them, that of a container which is being deleted among them, where
nothing exists and nothing was written; and gives every 412 to a create the code of a blob that exists.
"""

from http import HTTPStatus

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import StorageErrorCode


def is_there_already(error: ResourceExistsError) -> bool:
    """Whether storage says that this very blob exists."""
    code = getattr(error, "error_code", None)
    return error.status_code == HTTPStatus.CONFLICT and code == StorageErrorCode.BLOB_ALREADY_EXISTS
