"""What a 409 of Blob Storage means: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes.

The SDK raises ResourceExistsError for every one of them, that of a container which is being deleted among them, where
nothing exists and nothing was written.
"""

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import StorageErrorCode


def is_there_already(error: ResourceExistsError) -> bool:
    """Whether storage says that this very blob exists."""
    return getattr(error, "error_code", None) == StorageErrorCode.BLOB_ALREADY_EXISTS
