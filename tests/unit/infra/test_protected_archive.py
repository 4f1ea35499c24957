"""What Azure answers where the archive is protected, to the adapter that writes into it.

The emulator knows no immutability, so a server of a few lines stands in for the container.
"""

import pytest

from shared.adapters.blob_container import open_container
from shared.core.errors import StorageUnavailable
from tests.refusing_storage import refusing_storage


@pytest.mark.parametrize("code", ["BlobAlreadyExists", "BlobImmutableDueToPolicy"])
def test_a_duplicate_is_there_already_with_and_without_a_policy(code: str) -> None:
    with refusing_storage(409, code, exists=True) as connection:
        container = open_container("interactions", connection_string=connection, service_uri=None, credential=None)

        assert container.create("n", b"{}", {}) is False


def test_without_the_right_to_write_a_duplicate_would_look_like_trouble() -> None:
    """Why the role in archive-role.bicep has ``write`` beside ``add``."""
    with refusing_storage(403, "UnauthorizedBlobOverwrite", exists=True) as connection:
        container = open_container("interactions", connection_string=connection, service_uri=None, credential=None)
        with pytest.raises(StorageUnavailable):
            container.create("n", b"{}", {})
