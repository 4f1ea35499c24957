import re
from collections.abc import Iterator

import pytest

from shared.core import errors
from shared.core.errors import CannotArchive, CaptureError, RequestRefused, SettingsError, Unavailable


def kinds(of: type[CaptureError]) -> Iterator[type[CaptureError]]:
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


REASONS = {kind.__name__: getattr(kind, "reason", "") for kind in kinds(CannotArchive)}


@pytest.mark.parametrize("reason", REASONS.values(), ids=REASONS.keys())
def test_a_reason_is_a_folder_that_replay_can_be_asked_for(reason: str) -> None:
    assert re.fullmatch(r"[a-z-]{1,64}", reason)


def test_no_two_errors_share_a_reason() -> None:
    assert len(set(REASONS.values())) == len(REASONS)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")

    assert sorted(drawn) == sorted(kind.__name__ for kind in kinds(CaptureError))


@pytest.mark.parametrize(("name", "reason"), REASONS.items())
def test_the_tree_tells_each_reason(name: str, reason: str) -> None:
    assert re.search(rf"── {name} +{reason}\n", errors.__doc__ or "")


def test_statuses_are_those_of_the_contract() -> None:
    assert {kind.__name__: kind.status for kind in RequestRefused.__subclasses__()} == {
        "MalformedRequest": 400,
        "NotOurs": 403,
        "BodyTooLarge": 413,
        "CompressedBody": 415,
    }
    assert Unavailable.status == 503


def test_trouble_for_now_is_never_trouble_for_good() -> None:
    assert not set(kinds(Unavailable)) & set(kinds(CannotArchive))


def test_a_settings_error_names_every_problem() -> None:
    error = SettingsError(["A is missing", "B must be a GUID"])

    assert error.problems == ["A is missing", "B must be a GUID"]
    assert "A is missing" in str(error)
    assert "B must be a GUID" in str(error)
