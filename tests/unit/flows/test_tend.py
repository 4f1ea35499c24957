import pytest

from shared.core.errors import GraphUnavailable, StorageUnavailable
from shared.flows.tend import Tending


class Task:
    """Something to do, with the trouble that it has."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self.trouble = trouble
        self.done = 0

    def __call__(self) -> int:
        self.done += 1
        if self.trouble is not None:
            raise self.trouble
        return self.done


def test_everything_is_done_in_order() -> None:
    order: list[int] = []
    Tending([lambda: order.append(1), lambda: order.append(2)]).tend()

    assert order == [1, 2]


def test_trouble_with_one_keeps_no_other_from_being_done_and_the_first_is_raised() -> None:
    tasks = [Task(), Task(StorageUnavailable("first")), Task(GraphUnavailable("second")), Task()]
    with pytest.raises(StorageUnavailable, match="first"):
        Tending(tasks).tend()

    assert [task.done for task in tasks] == [1, 1, 1, 1]


def test_what_nobody_foresaw_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        Tending([Task(ZeroDivisionError())]).tend()


def test_nothing_to_do_is_done() -> None:
    Tending([]).tend()
