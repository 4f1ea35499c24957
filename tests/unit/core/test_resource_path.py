import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.resource_path import resource_path

USER = "8b081ef6-4792-4def-b2c9-c363a1bf41d5"
CHAT = "19:meeting_OTQ@thread.v2"
SAFE = re.compile(
    r"(?:chats|users\('[^'/]+'\)/chats)\('[^'/]+'\)(?:/(?:messages|members)\('[^'/]+'\))?"
    r"|copilot(?:/users\('[^'/]+'\))?/interactionHistory/interactions\('[^'/]+'\)"
)


@pytest.mark.parametrize(
    ("named", "path"),
    [
        (f"chats('{CHAT}')", "chats('19%3Ameeting_OTQ%40thread.v2')"),
        (f"/chats/{CHAT}", "chats('19%3Ameeting_OTQ%40thread.v2')"),
        (
            f"Chats('{CHAT}')/Messages('1612289992105')",
            "chats('19%3Ameeting_OTQ%40thread.v2')/messages('1612289992105')",
        ),
        (f"chats/{CHAT}/members/MCMjMiMjZGNk==", "chats('19%3Ameeting_OTQ%40thread.v2')/members('MCMjMiMjZGNk%3D%3D')"),
        (f"users('{USER}')/chats('{CHAT}')", f"users('{USER}')/chats('19%3Ameeting_OTQ%40thread.v2')"),
        (f"users/{USER}/chats/{CHAT}", f"users('{USER}')/chats('19%3Ameeting_OTQ%40thread.v2')"),
        (f"users/{USER}/chats('a')/messages/1", f"users('{USER}')/chats('a')/messages('1')"),
        (
            "copilot/interactionHistory/interactions('1731701801008')",
            "copilot/interactionHistory/interactions('1731701801008')",
        ),
        (
            f"copilot/users/{USER}/interactionhistory/interactions/1731701801008",
            f"copilot/users('{USER}')/interactionHistory/interactions('1731701801008')",
        ),
    ],
)
def test_what_graph_names_is_a_path(named: str, path: str) -> None:
    assert resource_path(named) == path


@pytest.mark.parametrize(
    "named",
    [
        None,
        5,
        ["chats('a')"],
        "",
        "/",
        "chats",
        "chats()",
        "chats('')",
        "chats('.')",
        "chats('..')",
        "chats/../users",
        "chats('a/../../users')",
        "chats('a')/..",
        "chats('..%2f..%2fusers')",
        "chats('a%27)/x')",
        "chats('a''b')",
        "chats('a')?$expand=members",
        "chats('a')#x",
        "chats('a')/",
        "//chats('a')",
        "chats('a')\n",
        "chats('a\r\nHost: evil.example')",
        "chats('a b')",
        "chats('ä')",
        "chats('\u202ea')",
        "chats('a')/messages",
        "chats('a')/installedApps('b')",
        "https://graph.microsoft.com/v1.0/chats('a')",
        "//evil.example/chats('a')",
        "users('a')",
        "users('a')/messages('b')",
        "users('a')/chats",
        "groups('a')",
        "copilot/interactionHistory/getAllEnterpriseInteractions",
        "copilot/interactionHistory/interactions",
        "v1.0/chats('a')",
        "chats('" + "a" * 513 + "')",
        "chats('a",
        "chatsa",
    ],
)
def test_anything_else_is_none(named: object) -> None:
    assert resource_path(named) is None


@given(st.text(max_size=60) | st.from_regex(r"/?[A-Za-z/.%]*(chats|users|copilot)[('/.%\\a-z?#:@]*", fullmatch=True))
def test_no_text_leads_out_of_the_collections(text: str) -> None:
    path = resource_path(text)

    assert path is None or SAFE.fullmatch(path)


@given(st.text(min_size=1, max_size=60))
def test_no_key_is_more_than_a_key(key: str) -> None:
    for named in (f"chats('{key}')", f"chats/{key}", f"users('{key}')/chats('x')"):
        path = resource_path(named)
        if path is not None:
            assert SAFE.fullmatch(path)
            assert not set(unquote(path)) & set("%\\?#\x00\r\n ")
            assert ".." not in unquote(path).split("'")
            assert path.isascii()


@given(st.from_regex(r"[A-Za-z0-9_~-][A-Za-z0-9_:@.+=~-]{0,80}", fullmatch=True))
def test_every_key_keeps_its_meaning_in_both_ways_of_writing(key: str) -> None:
    path = resource_path(f"chats('{key}')")

    assert path is not None
    assert unquote(path) == f"chats('{key}')"
    assert resource_path(f"chats/{key}") == path


@given(st.text(max_size=40))
def test_a_path_names_itself(text: str) -> None:
    # Whoever stores a path and reads it again gets the same, where nothing had to be encoded.
    path = resource_path(text)

    assert path is None or "%" in path or resource_path(path) == path
