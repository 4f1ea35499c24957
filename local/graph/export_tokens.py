"""The `$skiptoken` of the export: opaque to clients, good for one question, and not for ever.

Published samples decode to `SkipValue=10#MailboxFolder=MailFolders/TeamsMessagesData`.
"""

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta

from local.graph.clock import Clock
from local.graph.graph_errors import GraphError, bad_request
from local.graph.mailbox import FOLDERS
from local.graph.policy import Policy

Question = tuple[str, ...]


@dataclass(frozen=True)
class Position:
    """Where a walk goes on: a place in a folder. `skip` is what the token says, counted in whole pages."""

    folder: int = 0
    place: int = 0
    skip: int = 0


class SkipTokens:
    """The tokens that were given out."""

    def __init__(self, clock: Clock, policy: Policy) -> None:
        self._clock = clock
        self._policy = policy
        self._given: dict[str, tuple[datetime, Question, Position]] = {}
        self._number = 0

    def give(self, question: Question, position: Position) -> str:
        """Return a token that leads the same question to a position."""
        self._forget()
        self._number += 1
        text = f"SkipValue={position.skip}#MailboxFolder={FOLDERS[position.folder]}#Walk={self._number:x}"
        token = base64.b64encode(text.encode()).decode()
        self._given[token] = self._clock.passed(), question, position
        return token

    def take(self, token: str, question: Question) -> Position:
        """Return where a token leads; it can be taken again.

        Raises:
            GraphError: 400, it is too old, another question's, or none of ours.
        """
        self._forget()
        _, asked, position = self._given.get(token, (None, None, None))
        if position is None or asked != question:
            raise _invalid()
        return position

    def _forget(self) -> None:
        # They are in the order of their times, and all have the same life.
        oldest = self._clock.passed() - timedelta(seconds=self._policy.export.token_life)
        while self._given and next(iter(self._given.values()))[0] < oldest:
            del self._given[next(iter(self._given))]


def _invalid() -> GraphError:
    return bad_request("The skip token is not valid, or it has expired.")
