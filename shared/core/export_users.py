"""EXPORT_USERS: who is to be exported."""

from dataclasses import dataclass

from shared.core.export_window import is_user_id

LICENSED = "licensed"
NOBODY = "none"
_GROUP = "group:"


@dataclass(frozen=True, slots=True)
class ExportedUsers:
    """Everybody with a Copilot licence, the members of a group, or those who are named."""

    licensed: bool = False
    group_id: str | None = None
    named: frozenset[str] = frozenset()

    @property
    def nobody(self) -> bool:
        """Whether there is nothing to export."""
        return not (self.licensed or self.group_id or self.named)


def parse_users(text: str) -> ExportedUsers | None:
    """``licensed``, ``none``, ``group:{id}``, or ids with commas between them; None for anything else."""
    lowered = text.strip().lower()
    if lowered == LICENSED:
        return ExportedUsers(licensed=True)
    if lowered == NOBODY:
        return ExportedUsers()
    if lowered.startswith(_GROUP):
        group_id = lowered.removeprefix(_GROUP).strip()
        return ExportedUsers(group_id=group_id) if is_user_id(group_id) else None
    named = [each.strip() for each in lowered.split(",") if each.strip()]
    return ExportedUsers(named=frozenset(named)) if named and all(map(is_user_id, named)) else None
