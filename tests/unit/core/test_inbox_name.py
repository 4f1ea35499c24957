import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.inbox_name import inbox_name, is_inbox_name

UNIQUE = uuid.UUID("5b0b63a4-6a0f-4b7e-9b32-8c2c7d0d4f11")
NAME = f"notifications/2026/01/05/09/{UNIQUE}.json"


def test_the_name_is_that_of_the_contract_in_utc() -> None:
    received_at = datetime(2026, 1, 5, 10, 59, 59, tzinfo=timezone(timedelta(hours=1)))

    assert inbox_name("notifications", received_at, UNIQUE) == NAME
    assert inbox_name("lifecycle", received_at, UNIQUE) == NAME.replace("notifications", "lifecycle")


@given(st.sampled_from(["notifications", "lifecycle"]), st.datetimes(datetime(2020, 1, 1)), st.uuids())  # noqa: DTZ001 - made aware below
def test_our_own_names_are_known(queue: str, received_at: datetime, unique: uuid.UUID) -> None:
    assert is_inbox_name(inbox_name(queue, received_at.replace(tzinfo=UTC), unique))


@pytest.mark.parametrize(
    "text",
    [
        "",
        NAME + "\n",
        " " + NAME,
        NAME.upper(),
        NAME.replace(".json", ""),
        NAME.replace(".json", ".json.json"),
        NAME.replace("notifications", "exports"),
        NAME.replace("notifications", "dead-letters"),
        NAME.replace("/2026/", "/../"),
        NAME.replace("/2026/", "/٢٠٢٦/"),
        NAME.replace("/01/05/", "/1/5/"),
        "../" + NAME,
        "/" + NAME,
        NAME + "/../../state/checkpoints/x.json",
        NAME.replace("5b0b63a4", "..%2f%2f4"),
        NAME + "?comp=block",
        '{"name": "' + NAME + '"}',
        "\x00",
    ],
)
def test_nothing_else_is_taken_for_one(text: str) -> None:
    assert not is_inbox_name(text)
