"""Accounts, licences and groups of the tenant."""

import pytest

from local.graph.content.day import TenantContent
from local.graph.directory import Directory
from local.graph.policy import Policy


def directory() -> Directory:
    return Directory(TenantContent(1, "tenant"), Policy(licensed_users=3), seed=1)


def test_people_gain_and_lose_licences() -> None:
    made = directory()
    first, *_, last = made.accounts()
    assert [each.is_licensed for each in made.accounts()] == [True] * 3 + [False] * 5
    made.unlicense(first.id)
    made.license(last.id.upper())
    made.delete(made.accounts()[1].id)
    stranger = "00000000-0000-4000-8000-000000000001"
    made.license(stranger)
    assert {each.id for each in made.accounts() if each.is_licensed} == {made.accounts()[1].id, last.id, stranger}
    found = made.find(first.id)
    assert found is not None
    assert (found.sku, found.former) == (None, True)
    made.license(first.id)
    assert (found := made.find(first.id.upper())) is not None
    assert (found.is_licensed, found.former) == (True, False)
    assert made.find(first.principal_name) == found
    with pytest.raises(ValueError, match="object id"):
        made.license("somebody")


def test_groups_may_be_in_each_other() -> None:
    made = directory()
    one, two, three, four, *_ = (each.id for each in made.accounts())
    inner = made.add_group([two, three])
    outer = made.add_group([one, two, "00000000-0000-4000-8000-000000000001"], [inner])
    made.nest(inner, outer)
    made.delete(three)
    assert [each.id for each in made.members(outer) or []] == [one, two]
    assert {each.id for each in made.members(outer.upper(), transitive=True) or []} == {one, two}
    made.license(three)
    assert {each.id for each in made.members(inner, transitive=True) or []} == {one, two, three}
    assert made.members(four) is None
