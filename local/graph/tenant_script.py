"""What a test lets happen in the tenant: people, licences, groups, and what the export makes of a person."""

from collections.abc import Iterable

from local.graph.clock import Clock
from local.graph.content.change import Change
from local.graph.directory import Directory
from local.graph.export_api import TROUBLES, ExportApi, Trouble
from local.graph.ledger_writer import LedgerWriter
from local.graph.traffic import Traffic


class TenantScript:
    """The part of the simulator that plays the tenant's administrators, and its bad days."""

    clock: Clock
    directory: Directory
    export_api: ExportApi
    traffic: Traffic
    _ledger: LedgerWriter

    def happen(self, changes: Iterable[Change], *, seconds: float = 0.0) -> None:
        """Let changes happen of which nobody is notified, at the pace of a day in so many real seconds.

        They are in the ledger, and the export shows them.
        """
        self.traffic.happen(changes, seconds=seconds)

    def license(self, user_id: str) -> None:
        """Give somebody a Copilot licence; an account that is not there is made.

        Raises:
            ValueError: it is no object id.
        """
        self.directory.license(user_id)
        self._note_account(user_id, "licensed")

    def unlicense(self, user_id: str, *, keep_sku: bool = False) -> None:
        """Take somebody's Copilot licence, or with `keep_sku` its service plan alone.

        Raises:
            ValueError: it is no object id.
        """
        self.directory.unlicense(user_id, keep_sku=keep_sku)
        self._note_account(user_id, "unlicensed")

    def enable_user(self, user_id: str, *, enabled: bool = True) -> None:
        """Let somebody sign in, or not any more. Their history stays.

        Raises:
            ValueError: it is no object id.
        """
        self.directory.enable(user_id, enabled=enabled)
        self._note_account(user_id, "enabled" if enabled else "disabled")

    def delete_user(self, user_id: str) -> None:
        """Delete an account: the export knows it no more."""
        self.directory.delete(user_id)
        self._note_account(user_id, "deleted")

    def add_group(self, members: Iterable[str], nested: Iterable[str] = ()) -> str:
        """Make a group of people and of other groups, and return its id."""
        return self.directory.add_group(members, nested)

    def trouble(self, user_id: str, kind: Trouble | None) -> None:
        """Let every export of somebody fail from now on: 403, 404, 500, 503, or "slow"; None makes it work.

        Raises:
            ValueError: no such trouble.
        """
        if kind is None:
            self.export_api.troubles.pop(user_id.lower(), None)
        elif kind in TROUBLES:
            self.export_api.troubles[user_id.lower()] = kind
        else:
            raise ValueError(f"no such trouble: {kind!r}; there are {', '.join(TROUBLES)}")
        self._note_account(user_id, f"trouble {kind}" if kind else "no trouble")

    def _note_account(self, user_id: str, state: str) -> None:
        self._ledger.account(user_id.lower(), state, self.clock.now())
