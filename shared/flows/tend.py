"""What is looked after every few minutes: posts that nobody rings for, the hours' account, and the gauges."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tending:
    """Does one thing after the other. Trouble with one does not keep the others from being done."""

    tasks: Sequence[Callable[[], object]]

    def tend(self) -> None:
        """Do all of them. Raises the first trouble after the last."""
        troubles: list[Exception] = []
        for task in self.tasks:
            try:
                task()
            except Exception as error:  # noqa: BLE001 - raised below, after the others have had their turn
                troubles.append(error)
        if troubles:
            raise troubles[0]
