"""The accounts and groups of the tenant: who is there, who holds which licence, and who belongs together."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from local.graph.content.day import TenantContent
from local.graph.content.people import Person
from local.graph.policy import Policy
from local.graph.randomness import guid, stream

COPILOT_PLAN = "3f30311c-6b1e-48a4-ab79-725b469da960"
COPILOT_SKU = "639dec6b-bb19-468b-871c-c5c441c4b0cb"
OTHER_COPILOT_SKU = "a809996b-059e-42e2-9866-db24b99a9782"
OFFICE_SKU = "06ebc4ee-1bb5-47dd-8120-11324bc54e06"
# People without a licence behind those who hold one; the first has the licence with its plan switched off.
UNLICENSED = 5
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Account:
    """A person's account. `sku` is the Copilot licence, if any; without `plan` its service plan is switched off."""

    person: Person
    sku: str | None = None
    plan: bool = True
    enabled: bool = True
    former: bool = False

    @property
    def id(self) -> str:
        """The object id."""
        return self.person.oid

    @property
    def principal_name(self) -> str:
        """The name to sign in with."""
        return f"{self.person.oid[:8]}@contoso.example"

    @property
    def is_licensed(self) -> bool:
        """Whether Copilot is there for them."""
        return self.sku is not None and self.plan


@dataclass
class Group:
    """A group: people, and other groups by id."""

    id: str
    members: list[str]
    nested: list[str] = field(default_factory=list)


class Directory:
    """The tenant's first `policy.licensed_users` people hold a licence; what a script changes comes on top."""

    def __init__(self, content: TenantContent, policy: Policy, *, seed: int) -> None:
        self._content = content
        self._policy = policy
        self._rng = stream(seed, "groups")
        self._groups: dict[str, Group] = {}
        self._changed: dict[str, Account | None] = {}
        self._made: tuple[int, dict[str, Account]] = (-1, {})

    def accounts(self) -> list[Account]:
        """Return every account that is not deleted, in an order that stays."""
        merged = {**self._original(), **self._changed}
        return [each for each in merged.values() if each is not None]

    def find(self, name: str) -> Account | None:
        """Return an account by object id or by principal name."""
        lower = name.lower()
        if lower in self._changed:
            return self._changed[lower]
        if (there := self._original().get(lower)) is not None:
            return there
        return next((each for each in self.accounts() if each.principal_name == lower), None)

    def is_deleted(self, user_id: str) -> bool:
        """Say whether an account was there and is not any more."""
        return user_id.lower() in self._changed and self._changed[user_id.lower()] is None

    def license(self, user_id: str) -> None:
        """Give somebody a Copilot licence; an account that is not there yet, or not any more, is made.

        Raises:
            ValueError: it is no object id.
        """
        self._keep(replace(self._account(user_id), sku=COPILOT_SKU, plan=True, former=False))

    def unlicense(self, user_id: str, *, keep_sku: bool = False) -> None:
        """Take somebody's licence, or with `keep_sku` its service plan alone.

        Raises:
            ValueError: it is no object id.
        """
        there = self._account(user_id)
        self._keep(replace(there, sku=there.sku if keep_sku else None, plan=False, former=there.is_licensed))

    def enable(self, user_id: str, *, enabled: bool = True) -> None:
        """Let somebody sign in, or not any more.

        Raises:
            ValueError: it is no object id.
        """
        self._keep(replace(self._account(user_id), enabled=enabled))

    def delete(self, user_id: str) -> None:
        """Delete an account."""
        self._changed[user_id.lower()] = None

    def add_group(self, members: Iterable[str], nested: Iterable[str] = ()) -> str:
        """Make a group of people and of other groups, and return its id."""
        group = Group(guid(self._rng), [each.lower() for each in members], [each.lower() for each in nested])
        self._groups[group.id] = group
        return group.id

    def nest(self, group_id: str, inner_id: str) -> None:
        """Put a group into another one; circles are allowed, as in the real directory.

        Raises:
            KeyError: there is no such group.
        """
        self._groups[group_id.lower()].nested.append(self._groups[inner_id.lower()].id)

    def members(self, group_id: str, *, transitive: bool = False) -> list[Account] | None:
        """Return the people of a group, once each; None where there is no such group."""
        if group_id.lower() not in self._groups:
            return None
        seen: dict[str, None] = {}
        people: dict[str, None] = {}
        waiting = [group_id.lower()]
        while waiting:
            group = self._groups.get(name := waiting.pop(0))
            if group is None or name in seen:
                continue
            seen[name] = None
            people |= dict.fromkeys(group.members)
            waiting += group.nested if transitive else ()
        found = (self.find(each) for each in people)
        return [each for each in found if each is not None]

    def _account(self, user_id: str) -> Account:
        if (there := self.find(user_id)) is not None:
            return there
        if not _GUID.fullmatch(user_id.lower()):
            raise ValueError(f"no object id: {user_id!r}")
        return Account(Person(user_id.lower(), f"Guest {user_id[:8].lower()}"))

    def _keep(self, account: Account) -> None:
        self._changed[account.id] = account

    def _original(self) -> dict[str, Account]:
        count = self._policy.licensed_users
        if self._made[0] != count:
            people = self._content.people(count + UNLICENSED)
            self._made = count, {each.oid: _original(each, place, count) for place, each in enumerate(people)}
        return self._made[1]


def _original(person: Person, place: int, licensed: int) -> Account:
    if place > licensed:
        return Account(person)
    # More than one product brings Copilot.
    sku = OTHER_COPILOT_SKU if place % 5 == 4 else COPILOT_SKU
    return Account(person, sku, plan=place < licensed)
