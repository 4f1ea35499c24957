import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.checkpoint import ENTRY_BYTES, Checkpoint, ExportProblem, Look, Origin
from shared.core.checkpoint_json import (
    DAYS_TOLD,
    LOOKS_TOLD,
    TENANT,
    Progress,
    checkpoint_name,
    from_json,
    progress,
    to_json,
    to_metadata,
    user_of_name,
)
from tests.fakes import NOW
from tests.unit.instants import instants

ANN = "0a1b2c3d-0000-4000-8000-00000000000a"
OUR_TENANT = "11111111-0000-4000-8000-000000000000"
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
METADATA_BYTES = 8 * 1024
TODAY = "2026-01-05"
ENTRY = bytes(range(ENTRY_BYTES))
PROBLEM = ExportProblem("forbidden", "Graph says no", NOW - DAY, NOW + DAY)
FULL = Checkpoint(
    ANN, NOW - 9 * DAY, NOW, (Look(NOW - DAY, NOW),), {TODAY: {Origin.EXPORT: frozenset({ENTRY})}}, 7, PROBLEM
)

# As far as a user's time may reach: metadata tells looks in seconds since 1970.
INSTANTS = instants(date(1970, 1, 2), date(9000, 1, 1))
ENTRIES = st.frozensets(st.binary(min_size=ENTRY_BYTES, max_size=ENTRY_BYTES), max_size=4)
DAYS = st.dates().map(str) | st.just("undated")
REASONS = st.sampled_from(["forbidden", "not-found", "refused", "unavailable"])
CHECKPOINTS = st.builds(
    Checkpoint,
    user_id=st.none() | st.uuids().map(str),
    since=st.none() | INSTANTS,
    complete_until=st.none() | INSTANTS,
    looks=st.lists(st.builds(Look, INSTANTS, INSTANTS), max_size=4).map(tuple),
    shown=st.dictionaries(DAYS, st.dictionaries(st.sampled_from(Origin), ENTRIES, max_size=3), max_size=8),
    requests=st.integers(1, 10**6),
    problem=st.none() | st.builds(ExportProblem, REASONS, st.text(), INSTANTS, INSTANTS),
)


# ---- the name


@given(st.none() | st.uuids().map(str))
def test_a_checkpoints_name_says_whose_it_is(user: str | None) -> None:
    assert user_of_name(checkpoint_name(OUR_TENANT, user)) == (user or TENANT)


def test_the_name_is_as_documented() -> None:
    assert checkpoint_name(OUR_TENANT, ANN) == f"checkpoints/{OUR_TENANT}/{ANN}.json"


@pytest.mark.parametrize(
    "leaf", ["", ".json", ANN, f"{ANN}.txt", f"{ANN.upper()}.json", "x.json", "tenant", "tenant.json.json"]
)
def test_a_blob_of_somebody_else_is_nobodys_checkpoint(leaf: str) -> None:
    assert user_of_name(f"checkpoints/{OUR_TENANT}/{leaf}") is None


# ---- the blob


@given(CHECKPOINTS)
def test_what_is_saved_is_what_is_read(checkpoint: Checkpoint) -> None:
    assert from_json(to_json(checkpoint)) == checkpoint


def test_no_field_is_left_out() -> None:
    assert all(getattr(FULL, each.name) for each in fields(Checkpoint))
    assert from_json(to_json(FULL)) == FULL


@given(CHECKPOINTS)
def test_the_same_checkpoint_is_the_same_bytes(checkpoint: Checkpoint) -> None:
    assert to_json(from_json(to_json(checkpoint))) == to_json(checkpoint)


def test_the_blob_is_for_people_too() -> None:
    document = json.loads(to_json(FULL))

    assert document["version"] == 1
    assert document["completeUntil"] == "2026-01-05T09:30:10.000000Z"
    assert document["problem"]["sentence"] == "Graph says no"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b"5",
        b"[" * 100_000,
        to_json(FULL)[:-5],
        to_json(FULL).replace(b'"looks"', b'"glances"'),
        to_json(FULL).replace(b'"from": "2026', b'"from": "x026'),
        to_json(FULL).replace(b'"requests": 7', b'"requests": Infinity'),
        to_json(FULL).replace(b'"requests": 7', b'"requests": null'),
        to_json(FULL).replace(b'"export"', b'"guess"'),
        to_json(FULL).replace(b'"shown": {', b'"shown": [], "x": {'),
        to_json(FULL).replace(b'"retryAt"', b'"again"'),
        to_json(FULL).replace(b'"export": "', b'"export": "?'),
    ],
)
def test_a_blob_of_somebody_else_is_told_as_such(content: bytes) -> None:
    with pytest.raises(ValueError, match="none of ours"):
        from_json(content)


# ---- the metadata


def check_metadata(metadata: Mapping[str, str]) -> None:
    """As Azure takes it: names are C# identifiers, values travel in headers, all of it is 8 KB at most.

    https://learn.microsoft.com/rest/api/storageservices/setting-and-retrieving-properties-and-metadata-for-blob-resources
    """
    for name, value in metadata.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert re.fullmatch(r"[\x20-\x7e]+", value)
        assert value == value.strip()
    assert sum(len(name) + len(value) for name, value in metadata.items()) < METADATA_BYTES


@given(CHECKPOINTS)
def test_metadata_is_as_azure_takes_it(checkpoint: Checkpoint) -> None:
    check_metadata(to_metadata(checkpoint))


@given(CHECKPOINTS)
def test_the_planner_knows_what_the_checkpoint_says(checkpoint: Checkpoint) -> None:
    known = progress(to_metadata(checkpoint))

    assert (known.since, known.complete_until) == (checkpoint.since, checkpoint.complete_until)
    assert known.requests == checkpoint.requests
    problem = checkpoint.problem
    assert (known.reason, known.retry_at) == ((problem.reason, problem.retry_at) if problem else (None, None))
    assert set(known.looks) == {
        Look(each.begin.replace(microsecond=0), each.at.replace(microsecond=0)) for each in checkpoint.looks
    }


def test_the_worst_there_is_still_fits() -> None:
    looks = tuple(Look(NOW + number * SECOND, NOW + number * SECOND) for number in range(5_000))
    many = frozenset(number.to_bytes(ENTRY_BYTES, "big") for number in range(10_000))
    shown = {f"2026-01-{day:02}": dict.fromkeys(Origin, many) for day in range(1, 32)}
    checkpoint = replace(FULL, looks=looks, shown=shown, requests=10**9, problem=replace(PROBLEM, sentence="x" * 9000))

    metadata = to_metadata(checkpoint)
    check_metadata(metadata)
    assert len(progress(metadata).looks) == LOOKS_TOLD
    assert max(each.at for each in progress(metadata).looks) == looks[-1].at


def test_nothing_of_a_problems_sentence_is_told() -> None:
    assert not any("Graph says" in value for value in to_metadata(FULL).values())


def test_of_the_latest_days_the_counts_are_told_in_the_order_of_origins() -> None:
    def some(*numbers: int) -> frozenset[bytes]:
        return frozenset(number.to_bytes(1, "big") * ENTRY_BYTES for number in numbers)

    shown = {f"2026-01-0{day}": {Origin.EXPORT: some(1)} for day in range(1, 9)}
    shown["2026-01-08"] = {Origin.HISTORY: some(1), Origin.EXPORT: some(2, 3), Origin.NOTIFICATION: some(4, 5, 6)}
    shown["undated"] = {Origin.EXPORT: some(9)}
    tallies = progress(to_metadata(replace(FULL, shown=shown))).tallies

    assert tallies is not None
    assert list(tallies) == [f"2026-01-0{day}" for day in range(9 - DAYS_TOLD, 9)]
    assert tallies["2026-01-08"] == (3, 2, 1)


def test_per_day_is_the_mean_of_the_days_that_had_something() -> None:
    def some(count: int) -> Mapping[Origin, frozenset[bytes]]:
        return {Origin.EXPORT: frozenset(number.to_bytes(1, "big") * ENTRY_BYTES for number in range(count))}

    shown = {"2026-01-01": some(2), "2026-01-05": some(5), "undated": some(90)}
    assert progress(to_metadata(replace(FULL, shown=shown))).per_day == 3.5
    assert progress(to_metadata(Checkpoint(ANN))).per_day == 0.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"looks": "now"},
        {"looks": "1/2/3"},
        {"looks": "99999999999999999999/0"},
        {"requests": "many"},
        {"perday": "nan"},
        {"perday": "inf"},
        {"perday": "1,5"},
        {"tallies": "2026-01-05"},
        {"tallies": "2026-01-05:1.x"},
    ],
)
def test_metadata_that_cannot_be_read_is_as_none(wrong: dict[str, str]) -> None:
    assert progress({**to_metadata(FULL), **wrong}) == Progress()


@given(st.dictionaries(st.sampled_from(sorted(to_metadata(FULL))), st.text()))
def test_no_metadata_does_any_harm(metadata: dict[str, str]) -> None:
    known = progress(metadata)

    assert math.isfinite(known.per_day)


def test_what_is_not_told_is_not_known() -> None:
    assert progress({}) == Progress(tallies={})
