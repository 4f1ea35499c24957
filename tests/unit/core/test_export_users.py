import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.export_users import ExportedUsers, parse_users

ONE = "0a1a7a9f-63c8-4d0f-8d2b-2b7f2b8f8a10"
TWO = "0b1a7a9f-63c8-4d0f-8d2b-2b7f2b8f8a10"
IDS = st.uuids().map(str)


@pytest.mark.parametrize(
    ("text", "users"),
    [
        ("licensed", ExportedUsers(licensed=True)),
        (" Licensed ", ExportedUsers(licensed=True)),
        ("none", ExportedUsers()),
        ("NONE", ExportedUsers()),
        (f"group:{ONE}", ExportedUsers(group_id=ONE)),
        (f"Group: {ONE.upper()} ", ExportedUsers(group_id=ONE)),
        (ONE, ExportedUsers(named=frozenset({ONE}))),
        (f" {ONE.upper()} ,, {TWO},", ExportedUsers(named=frozenset({ONE, TWO}))),
        (f"{ONE},{ONE.upper()}", ExportedUsers(named=frozenset({ONE}))),
    ],
)
def test_what_is_understood(text: str, users: ExportedUsers) -> None:
    assert parse_users(text) == users
    assert users.nobody is (text.lower() == "none")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        " , ",
        "everybody",
        "licensed,none",
        f"licensed,{ONE}",
        f"{ONE},licensed",
        f"none,{ONE}",
        "group:",
        "group:copilot-pilots",
        f"group:{ONE},{TWO}",
        f"group:{ONE},group:{TWO}",
        f"{ONE},group:{TWO}",
        "adele.vance@contoso.example",
        f"{ONE};{TWO}",
        f"{{{ONE}}}",
        ONE.replace("-", ""),
        f"{ONE}\n{TWO}",
        "../../subscriptions",
    ],
)
def test_what_is_not_is_none_and_never_nobody(text: str) -> None:
    assert parse_users(text) is None


@given(st.lists(IDS, min_size=1), st.randoms(use_true_random=False))
def test_order_case_and_repetition_of_ids_do_not_matter(ids: list[str], random: object) -> None:
    again = [each.upper() for each in ids] + ids
    getattr(random, "shuffle")(again)  # noqa: B009 - hypothesis gives it no type

    assert parse_users(",".join(again)) == parse_users(",".join(ids)) == ExportedUsers(named=frozenset(ids))


@given(st.text())
def test_whatever_is_written_it_names_ids_or_is_not_understood(text: str) -> None:
    users = parse_users(text)

    if users is not None:
        assert users.nobody == (text.strip().lower() == "none")
