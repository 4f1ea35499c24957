import posixpath
import re
import string
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.core.archive_path import (
    MAX_PART,
    archive_path,
    conflict_path,
    date_folders,
    dead_letter_name,
    encode_part,
    tombstone_paths,
)
from shared.core.notification import REPEATED_FOR
from shared.core.resources import AI_INTERACTION, CHAT, ResourceKind, kind_of
from tests.graph_posts import TENANT, interaction, payload
from tests.unit.instants import instants

SAFE = set(string.ascii_letters + string.digits + "-_.=")
DIGEST = re.compile(r"=sha256-[0-9a-f]{64}\Z")
# Lone surrogates included: JSON can spell them, and a name must still come out of them.
ANY_TEXT = st.text(st.characters(exclude_categories=()))
HOSTILE = [
    "..",
    ".",
    "",
    "/",
    "../../other-container/x",
    "..\\..\\x",
    "%2e%2e%2f",
    "a//b",
    "\x00",
    "line\r\nbreak",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "\ud800",
    "\udfff\ud800",
    "İstanbul",
    "K",
    "end.",
    ".start",
    "...",
    "=2E",
    "=none",
    "=empty",
    "=sha256-" + "0" * 64,
    "a b",
    "?sv=2024&sig=x",
    "#fragment",
    "x" * 2048,
    "é" * 1024,
    "." * 300,
    "\U0001f600",
]
RECEIVED_AT = datetime(2026, 1, 5, 23, 30, tzinfo=UTC)


def decode(part: str) -> str:
    """What was encoded: written from the rule, not from the code."""
    if part == "=empty":
        return ""
    data = re.sub(rb"=([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), part.encode("ascii"))
    return data.decode("utf-8", "surrogatepass")


def name_of(**changes: object) -> str:
    return archive_path(AI_INTERACTION, TENANT, interaction(**changes)).name


@given(ANY_TEXT)
@pytest.mark.parametrize("keep_dots", [True, False])
def test_a_part_holds_safe_characters_only(keep_dots: bool, text: str) -> None:
    part = encode_part(text, keep_dots=keep_dots)

    assert set(part) <= SAFE
    assert 0 < len(part) <= MAX_PART
    assert not part.startswith(".")
    assert not part.endswith(".")
    assert keep_dots or "." not in part


@given(ANY_TEXT)
@example("=2E")
@example("a.b")
def test_a_part_can_be_decoded_so_no_two_texts_share_one(text: str) -> None:
    for keep_dots in (True, False):
        part = encode_part(text, keep_dots=keep_dots)
        assert DIGEST.search(part) or decode(part) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_become_harmless_parts(text: str) -> None:
    part = encode_part(text)

    assert set(part) <= SAFE
    assert part not in ("", ".", "..")
    assert not part.endswith(".")


def test_hostile_texts_stay_apart() -> None:
    assert len({encode_part(text) for text in HOSTILE}) == len(HOSTILE)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("1767605401234", "1767605401234"),
        ("19:abc@thread.v2", "19=3Aabc=40thread.v2"),
        ("a-b_c.d", "a-b_c.d"),
        ("..", "=2E=2E"),
        ("a..b", "a..b"),
        ("ü", "=C3=BC"),
        ("", "=empty"),
        (None, "=none"),
    ],
)
def test_a_part_is_readable(text: str | None, part: str) -> None:
    assert encode_part(text) == part


@given(st.text(st.sampled_from("ab./é"), min_size=120, max_size=400), st.sampled_from(["x", "é", ".", "/"]))
def test_long_texts_with_the_same_beginning_stay_apart(text: str, more: str) -> None:
    assert encode_part(text) != encode_part(text + more)


@pytest.mark.parametrize("length", range(80, 92))
def test_a_cut_leaves_no_broken_escape(length: int) -> None:
    part = encode_part("a" * length + "é" * 100)

    assert re.fullmatch(r"(?:[a-zA-Z0-9_-]|=[0-9A-F]{2})*=sha256-[0-9a-f]{64}", part)


@pytest.mark.parametrize("value", [5, 5.5, True, [1], {"a": 1}, ["x" * 5000]])
def test_a_value_that_is_no_text_never_equals_a_text(value: object) -> None:
    part = encode_part(value)

    assert set(part) <= SAFE
    assert part not in (encode_part(str(value)), encode_part(f"{type(value).__name__}:{value}"), encode_part(None))


def test_the_name_is_that_of_the_contract() -> None:
    path = archive_path(AI_INTERACTION, TENANT.upper(), payload("aiInteraction.userPrompt"))

    assert path.container == "interactions"
    assert path.name == (
        f"{TENANT}/2026/01/05/19=3AKq7dVtRmQeOQ0cN1_pXj=40thread.v2/"
        "5b0b63a4-6a0f-4b7e-9b32-8c2c7d0d4f11/1767605401234.1767605401234.json"
    )


def test_a_chat_has_a_folder_of_its_own() -> None:
    path = archive_path(CHAT, TENANT, payload("chat"))

    assert path.container == "chats"
    assert path.name == (
        f"{TENANT}/2026/01/04/19=3A7f3c2e90a1bd4a64b7f0c6a52de81b3f=40thread.v2/2026-01-05T10=3A00=3A00.5Z.json"
    )


def test_a_kind_without_a_row_rests_under_its_own_name() -> None:
    path = archive_path(kind_of("callRecord", "communications/callRecords('1')"), TENANT, {"id": "1", "etag": "e"})

    assert path.container == "resources"
    assert path.name == f"callRecord/{TENANT}/undated/1.e.json"


@pytest.mark.parametrize("name", ["sessionId", "requestId", "id", "etag"])
def test_each_part_of_the_identity_and_the_version_tells_names_apart(name: str) -> None:
    assert name_of(**{name: "one"}) != name_of(**{name: "two"})
    assert name_of(**{name: "x"}) != name_of(**{name: "X"}), "a difference in case only"
    assert name_of(**{name: None}) != name_of(**{name: "None"})


def test_tenants_have_folders_of_their_own() -> None:
    resource = interaction()

    assert archive_path(AI_INTERACTION, "a", resource) != archive_path(AI_INTERACTION, "b", resource)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"id": "a.b", "etag": "c"}, {"id": "a", "etag": "b.c"}),
        ({"sessionId": "a/b", "requestId": "c"}, {"sessionId": "a", "requestId": "b/c"}),
        ({"requestId": "a/b", "id": "c"}, {"requestId": "a", "id": "b/c"}),
        ({"sessionId": None}, {"sessionId": "=none"}),
        ({"sessionId": ""}, {"sessionId": None}),
        ({"sessionId": 5}, {"sessionId": "5"}),
    ],
)
def test_what_belongs_to_one_part_never_slips_into_the_next(one: dict[str, object], other: dict[str, object]) -> None:
    assert name_of(**one) != name_of(**other)


@given(
    st.fixed_dictionaries(
        {name: ANY_TEXT | st.sampled_from(HOSTILE) for name in ("sessionId", "requestId", "id", "etag")}
    ),
    ANY_TEXT | st.sampled_from(HOSTILE),
    st.sampled_from([AI_INTERACTION, CHAT, ResourceKind(name="../x", container="resources")]),
)
def test_no_input_leaves_its_folder(ids: dict[str, str], tenant: str, kind: ResourceKind) -> None:
    ids["lastUpdatedDateTime"] = ids["etag"]
    path = archive_path(kind, tenant, {**ids, "createdDateTime": "2026-01-05T00:00:00Z"})
    folders = path.name.split("/")

    assert len(folders) == {"interactions": 7, "chats": 6, "resources": 6}[path.container]
    assert "/2026/01/05/" in path.name
    assert posixpath.normpath(path.name) == path.name
    assert set(path.name) <= SAFE | {"/"}
    assert not [folder for folder in folders if folder in ("", ".", "..") or folder.endswith(".")]


def test_the_longest_names_fit_into_storage() -> None:
    long = dict.fromkeys(("sessionId", "requestId", "id", "etag", "lastUpdatedDateTime"), "é" * 2048)
    long["createdDateTime"] = "2026-01-05T00:00:00Z"
    for kind in (AI_INTERACTION, CHAT, ResourceKind(name="k" * 2048, container="resources")):
        path = archive_path(kind, "t" * 2048, long)
        assert len(path.name) < 1024
        assert len(conflict_path(path, b"{}").name) < 1024
        assert len(tombstone_paths(kind, "t" * 2048, "é" * 2048, RECEIVED_AT, "f")[0].name) < 1024


def test_the_order_of_properties_does_not_move_a_resource() -> None:
    resource = interaction()

    assert archive_path(AI_INTERACTION, TENANT, resource) == archive_path(
        AI_INTERACTION, TENANT, dict(reversed(list(resource.items())))
    )


@pytest.mark.parametrize("name", ["sessionId", "requestId"])
def test_guids_compare_without_case_and_other_ids_with_it(name: str) -> None:
    guid = "5b0b63a4-6a0f-4b7e-9b32-8c2c7d0d4f11"

    assert name_of(**{name: guid}) == name_of(**{name: guid.upper()})
    assert name_of(**{name: guid}) != name_of(**{name: f"{{{guid}}}"})
    assert name_of(**{name: guid}) != name_of(**{name: guid.replace("-", "")})


@pytest.mark.parametrize(
    ("created", "folders"),
    [
        ("2026-01-05T09:30:01.234Z", "2026/01/05"),
        ("2026-01-05T09:30:01.2345678Z", "2026/01/05"),
        ("2026-01-05T09:30:01", "2026/01/05"),
        ("2026-01-05T23:30:00-08:00", "2026/01/06"),
        ("2026-01-01T00:30:00+01:00", "2025/12/31"),
        ("0001-01-01T00:00:00Z", "0001/01/01"),
        ("0001-01-01T00:00:00+01:00", "undated"),
        ("yesterday", "undated"),
        ("2026/01/05/../..", "undated"),
        (None, "undated"),
        (1767605401234, "undated"),
    ],
)
def test_the_date_is_that_of_creation_in_utc(created: object, folders: str) -> None:
    assert name_of(createdDateTime=created).startswith(f"{TENANT}/{folders}/19=3A")


def test_dates_are_told_in_utc() -> None:
    assert date_folders(datetime(2026, 1, 5, 23, 0, tzinfo=timezone(timedelta(hours=-2)))) == "2026/01/06"


def test_a_conflict_rests_beside_and_is_told_apart_by_its_content() -> None:
    path = archive_path(AI_INTERACTION, TENANT, interaction())
    beside = conflict_path(path, b"one")

    assert posixpath.dirname(beside.name) == posixpath.dirname(path.name)
    assert beside.container == path.container
    assert beside == conflict_path(path, b"one")
    assert len({path, beside, conflict_path(path, b"two")}) == 3


def test_no_version_can_claim_the_name_of_a_conflict() -> None:
    path = archive_path(AI_INTERACTION, TENANT, interaction(etag="1"))
    beside = conflict_path(path, b"one").name.rpartition(".json")[0].rpartition("1767605401234.")[2]

    assert name_of(etag=beside) != conflict_path(path, b"one").name


def test_a_tombstone_rests_under_the_day_it_was_received() -> None:
    path, *_ = tombstone_paths(AI_INTERACTION, TENANT.upper(), "1767605401234", RECEIVED_AT, "said")

    assert path.container == "interactions"
    assert re.fullmatch(rf"{TENANT}/deleted/2026/01/05/1767605401234\.[0-9a-f-]{{36}}\.json", path.name)


def test_the_same_deletion_has_one_tombstone_and_another_one_its_own() -> None:
    def name(resource_id: str | None, said: str) -> str:
        return tombstone_paths(AI_INTERACTION, TENANT, resource_id, RECEIVED_AT, said)[0].name

    assert name("1", "said") == name("1", "said")
    assert len({name("1", "said"), name("1", "else"), name("2", "said"), name(None, "said"), name("a.b", "said")}) == 5
    assert "/a=2Eb." in name("a.b", "said")


@given(
    instants(date(2020, 1, 1), date(2040, 1, 1)),
    st.timedeltas(timedelta(0), REPEATED_FOR),
)
def test_a_repeat_knows_where_the_first_rests_and_the_first_where_a_repeat(first: datetime, later: timedelta) -> None:
    told, again = (tombstone_paths(AI_INTERACTION, TENANT, "1", at, "said") for at in (first, first + later))

    assert told[0] in again
    assert again[0] in told
    assert len(told) <= 2


def test_a_dead_letter_rests_under_its_reason() -> None:
    name = dead_letter_name("not-genuine", RECEIVED_AT, "post#0")

    assert re.fullmatch(r"not-genuine/2026/01/05/[0-9a-f-]{36}\.json", name)
    assert name == dead_letter_name("not-genuine", RECEIVED_AT, "post#0")
    assert name != dead_letter_name("not-genuine", RECEIVED_AT, "post#1")
