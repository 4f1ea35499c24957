import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.subscription_rules import (
    COPILOT_TENANT,
    EVERYONE,
    LICENSED,
    MAX_LIFE,
    RULES,
    DesiredSubscription,
    expand,
    parse_desired,
    resource_key,
    whose_interactions,
)

ALL = {"created", "updated", "deleted"}
TWO = {"created", "updated"}
INTERACTIONS = "interactionHistory/getAllEnterpriseInteractions"
TENANT_WIDE = f"copilot/{INTERACTIONS}"
OF_A_USER = f"copilot/users/{{user-id}}/{INTERACTIONS}"
INSTALLED = "appCatalogs/teamsApps/386bbdf4/installedToChats"
# Every resource of the documents that this product was asked from, with what Graph allows for it.
RESOURCES = [
    (TENANT_WIDE, ALL, "AiEnterpriseInteraction.Read.All"),
    (f"copilot/users/8b081ef6/{INTERACTIONS}", ALL, "AiEnterpriseInteraction.Read.All"),
    ("chats", TWO, "Chat.ReadBasic.All"),
    ("chats/19:abc_def@thread.v2", TWO, "Chat.ReadBasic.All"),
    ("users/8b081ef6/chats", TWO, "Chat.ReadBasic.All"),
    ("chats/getAllMessages", ALL, "Chat.Read.All"),
    ("users/8b081ef6/chats/getAllMessages", ALL, "Chat.Read.All"),
    ("chats/getAllMembers", ALL, "ChatMember.Read.All"),
    (INSTALLED, TWO, "Chat.ReadBasic.WhereInstalled"),
    (f"{INSTALLED}/getAllMessages", ALL, "Chat.Read.WhereInstalled"),
    (f"{INSTALLED}/getAllMembers", ALL, "ChatMember.Read.WhereInstalled"),
]


def one(entry: object) -> DesiredSubscription:
    desired, problems = parse_desired([entry])
    assert problems == []
    return desired[0]


def problem(entry: object) -> str:
    desired, problems = parse_desired([entry])
    assert desired == []
    (sentence,) = problems
    assert sentence.startswith("SUBSCRIPTIONS[0]: ")
    return sentence.removeprefix("SUBSCRIPTIONS[0]: ")


@pytest.mark.parametrize("written", ["{}", "/{}", "/{}/", "  {} "])
@pytest.mark.parametrize(("resource", "changes", "permission"), RESOURCES)
def test_every_resource_of_the_documents_is_known_with_its_changes_and_its_permission(
    resource: str, changes: set[str], permission: str, written: str
) -> None:
    desired = one({"resource": written.format(resource)})

    assert desired.resource == resource
    assert desired.changes == changes
    assert desired.include_resource_data is True
    assert desired.rule.permissions[0] == permission


@pytest.mark.parametrize("resource", [resource for resource, _, _ in RESOURCES])
def test_a_resource_is_written_in_any_case(resource: str) -> None:
    assert one({"resource": resource.upper()}).rule is one({"resource": resource}).rule


@pytest.mark.parametrize(("resource", "_changes", "_permission"), RESOURCES)
def test_one_row_only_matches_a_resource(resource: str, _changes: object, _permission: object) -> None:
    assert len([rule for rule in RULES if rule.path.fullmatch(resource)]) == 1


def test_every_row_of_the_table_is_some_resource_of_the_documents() -> None:
    matched = {one({"resource": resource}).rule.name for resource, _, _ in RESOURCES}

    assert matched == {rule.name for rule in RULES}


def test_we_ask_for_a_little_less_than_the_longest_life() -> None:
    assert MAX_LIFE.total_seconds() / 60 == 4300


@pytest.mark.parametrize(
    "resource",
    [
        "",
        "copilot",
        "me/chats",
        "chats/a/b",
        "chats/getAllSomething",
        "chats('19:x')",
        f"copilot/users//{INTERACTIONS}",
        f"{TENANT_WIDE}/extra",
        "users/x/messages",
        "teams/getAllMessages",
        "communications/callRecords",
        f"copilot/users/a/b/{INTERACTIONS}",
        "https://graph.microsoft.com/v1.0/chats",
    ],
)
def test_a_resource_without_a_row_is_refused_by_name_of_the_list(resource: str) -> None:
    assert "docs/subscriptions.md" in problem({"resource": resource})


@pytest.mark.parametrize(
    "expression",
    [
        "appClass eq 'IPM.SkypeTeams.Message.Copilot.Word'",
        "conversationType ne 'bizchat'",
        "(appClass eq 'a' or appClass eq 'b') and conversationType eq 'appchat'",
        "appClass eq 'it''s/a/path'",
        "appClass eq 'from/user/id'",
        "not (appClass eq 'x')",
        "sessionId eq null",
    ],
)
@pytest.mark.parametrize("resource", [TENANT_WIDE, f"copilot/users/8b081ef6/{INTERACTIONS}"])
def test_a_filter_on_the_interactions_own_properties_is_part_of_the_resource(resource: str, expression: str) -> None:
    desired = one({"resource": f"{resource}?$filter={expression}"})

    assert desired.resource == f"{resource}?$filter={expression}"
    assert desired.rule is one({"resource": resource}).rule


@pytest.mark.parametrize(
    ("expression", "culprit"),
    [
        ("from/user/id eq '8b081ef6'", "from/user/id"),
        ("appClass eq 'x' and from/user/id eq '8b081ef6'", "from/user/id"),
        ("contexts/any(c:c/contextType eq 'x')", "contexts/any"),
        ("startswith(appClass,'IPM')", "appClass,"),
        ("body.content eq 'x'", "body.content"),
        ("etag eq 5", "5"),
        ("appClass eq 'x", "'x"),
        ("appClass eq 'x'&$select=id", "&$select=id"),
        ("'x'", "nothing"),
        ("", "nothing"),
    ],
)
def test_a_filter_that_graph_refuses_is_refused_before_and_says_by_what(expression: str, culprit: str) -> None:
    assert problem({"resource": f"{TENANT_WIDE}?$filter={expression}"}).endswith(f"; {culprit} is none")


@pytest.mark.parametrize("resource", [resource for resource, _, _ in RESOURCES if "Interactions" not in resource])
def test_other_resources_take_no_filter(resource: str) -> None:
    assert problem({"resource": f"{resource}?$filter=topic eq 'x'"}).endswith(" takes no query")


@pytest.mark.parametrize("query", ["$select=id", "$top=5", "model=B", "filter=appClass eq 'x'"])
def test_the_only_query_is_a_filter(query: str) -> None:
    assert problem({"resource": f"{TENANT_WIDE}?{query}"}) == "the only query there is is $filter"


@pytest.mark.parametrize("name", ["notifyOnUserSpecificProperties", "NOTIFYONUSERSPECIFICPROPERTIES"])
@pytest.mark.parametrize("resource", ["chats/19:x", "users/8b081ef6/chats", TENANT_WIDE])
def test_user_specific_properties_are_refused_with_the_reason(resource: str, name: str) -> None:
    assert "needs a signed-in user" in problem({"resource": f"{resource}?{name}=true"})


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("created", {"created"}),
        ("Created, DELETED", {"created", "deleted"}),
        ("updated,created,updated", {"created", "updated"}),
    ],
)
def test_change_types_are_read_in_any_case_and_order(text: str, changes: set[str]) -> None:
    assert one({"resource": TENANT_WIDE, "changeType": text}).changes == changes


@pytest.mark.parametrize("text", ["", ",", "created,", "removed", "created;updated", None, 5, ["created"], True])
def test_other_change_types_are_refused_by_naming_the_good_ones(text: object) -> None:
    assert "created, deleted, updated" in problem({"resource": TENANT_WIDE, "changeType": text})


def test_a_change_that_this_resource_does_not_tell_of_is_refused() -> None:
    assert problem({"resource": "chats", "changeType": "deleted"}).endswith("is made of created, updated")


@pytest.mark.parametrize("value", [None, "true", 1, 0, []])
def test_include_resource_data_is_true_or_false(value: object) -> None:
    assert "true or false" in problem({"resource": "chats", "includeResourceData": value})


def test_resource_data_can_be_declined() -> None:
    assert one({"resource": "chats", "includeResourceData": False}).include_resource_data is False


@pytest.mark.parametrize("entry", [None, 5, "chats", [], {}, {"resource": None}, {"resource": ["chats"]}])
def test_an_entry_that_is_none_says_how_one_looks(entry: object) -> None:
    assert '"resource": "..."' in problem(entry)


def test_a_misspelt_property_is_named() -> None:
    assert problem({"resource": "chats", "changeTypes": "created", "a": 1}) == "unknown a, changeTypes"


@pytest.mark.parametrize("entries", [None, {}, "chats", 5, {"resource": "chats"}])
def test_anything_but_a_list_is_refused(entries: object) -> None:
    assert parse_desired(entries) == ([], ["SUBSCRIPTIONS must be a JSON list"])


def test_an_empty_list_wants_nothing() -> None:
    assert parse_desired([]) == ([], [])


def test_every_wrong_entry_is_named_by_its_position_and_the_good_ones_stay() -> None:
    desired, problems = parse_desired([5, {"resource": "chats"}, {"resource": "me/chats"}])

    assert [each.resource for each in desired] == ["chats"]
    assert [each.partition(":")[0] for each in problems] == ["SUBSCRIPTIONS[0]", "SUBSCRIPTIONS[2]"]


@pytest.mark.parametrize("second", ["chats", "/chats", "CHATS", "chats/"])
def test_a_resource_is_wanted_once(second: str) -> None:
    _, problems = parse_desired([{"resource": "chats"}, {"resource": second, "changeType": "created"}])

    assert problems == ["SUBSCRIPTIONS: chats is there 2 times; Graph takes one subscription for a resource"]


def test_two_filters_of_one_resource_are_two_resources() -> None:
    filters = [f"{TENANT_WIDE}?$filter=appClass eq '{each}'" for each in ("A", "a")]
    desired, problems = parse_desired([{"resource": each} for each in filters])

    assert problems == []
    assert len({each.key for each in desired}) == 2


@pytest.mark.parametrize("users", [LICENSED, ["a"], ["a", "b"]])
def test_users_fill_the_placeholder(users: str | list[str]) -> None:
    parsed = one({"resource": OF_A_USER, "users": users})

    assert parsed.users == (users if isinstance(users, str) else tuple(users))


def test_a_user_named_twice_is_one() -> None:
    assert one({"resource": OF_A_USER, "users": ["a", "b", "a"]}).users == ("a", "b")


@pytest.mark.parametrize("users", [None, [], "everybody", ["a/b"], ["a?b"], ["x('y')"], [""], [5], {"a": 1}])
def test_a_placeholder_needs_users(users: object) -> None:
    assert '"licensed" or a list' in problem({"resource": OF_A_USER, "users": users})


def test_users_without_a_placeholder_are_refused() -> None:
    assert "{user-id}" in problem({"resource": TENANT_WIDE, "users": ["a"]})


def test_each_user_gets_a_subscription_that_is_otherwise_the_same() -> None:
    template = one({"resource": "users/{user-id}/chats", "users": ["a", "b"], "changeType": "created"})

    assert expand(template, ["a", "b"]) == [
        one({"resource": f"users/{user}/chats", "changeType": "created"}) for user in ("a", "b")
    ]


@pytest.mark.parametrize(
    ("one_way", "other_way", "same"),
    [
        ("chats", "/Chats/", True),
        ("chats", "chats/getAllMessages", False),
        ("a?$filter=x eq 'A'", "/A?$filter=x eq 'A'", True),
        ("a?$filter=x eq 'A'", "a?$filter=x eq 'a'", False),
        ("a?$filter=x", "a", False),
    ],
)
def test_paths_compare_without_case_and_filters_with_it(one_way: str, other_way: str, same: bool) -> None:
    assert (resource_key(one_way) == resource_key(other_way)) is same


@given(st.text())
def test_a_key_is_its_own_key(resource: str) -> None:
    assert resource_key(resource_key(resource)) == resource_key(resource)


@pytest.mark.parametrize(
    ("resource", "whose"),
    [
        (TENANT_WIDE, EVERYONE),
        (f"/{TENANT_WIDE.upper()}/", EVERYONE),
        (f"{TENANT_WIDE}?$filter=appClass eq 'a/b'", EVERYONE),
        (f"copilot/users/8B081EF6/{INTERACTIONS}", "8b081ef6"),
        (f"/COPILOT/Users/Adele.Vance@contoso.example/{INTERACTIONS.lower()}", "adele.vance@contoso.example"),
        (f"copilot/users/8b081ef6/{INTERACTIONS}?$filter=x eq 'y'", "8b081ef6"),
        (f"copilot/users/*/{INTERACTIONS}x", None),
        (f"copilot/users//{INTERACTIONS}", None),
        (f"copilot/users/a/b/{INTERACTIONS}", None),
        (f"copilot/users/8b081ef6/x?{INTERACTIONS}", None),
        (f"x/{TENANT_WIDE}", None),
        (f"{TENANT_WIDE}\n", None),
        ("users/8b081ef6/chats", None),
        ("chats", None),
        ("copilot", None),
        ("", None),
    ],
)
def test_whose_interactions_a_resource_is_about(resource: str, whose: str | None) -> None:
    assert whose_interactions(resource) == whose


@given(st.uuids().map(str), st.sampled_from(["", "/"]), st.sampled_from(["", "?$filter=appClass eq 'x/y'"]))
def test_a_users_resource_is_his_in_any_case_and_as_a_key(user: str, slash: str, query: str) -> None:
    resource = f"{slash}{OF_A_USER.replace('{user-id}', user)}{query}"

    assert {whose_interactions(each) for each in (resource, resource_key(resource))} == {user}
    assert whose_interactions(resource.upper().replace("$FILTER", "$filter")) == user


@given(st.text())
def test_of_anything_else_it_is_nobodys_and_never_everybodys(text: str) -> None:
    assert whose_interactions(text) is None or resource_key(text).startswith("copilot/")
    assert whose_interactions(f"{COPILOT_TENANT}{text}") in (None, EVERYONE)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["chats", TENANT_WIDE, LICENSED]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["resource", "changeType", "includeResourceData", "users", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=4))
def test_whatever_is_written_is_parsed_or_named(entries: list[object]) -> None:
    desired, problems = parse_desired(entries)
    named = {each.partition(":")[0] for each in problems if each.startswith("SUBSCRIPTIONS[")}

    assert len(desired) + len(named) == len(entries)
    assert all(each.rule.changes >= each.changes for each in desired)
    assert all(len(each.change_type.split(",")) == len(each.changes) for each in desired)
