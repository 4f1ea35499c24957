import asyncio
import contextvars
import threading

import pytest

from shared.adapters.own_threads import OwnThreads

invocation: contextvars.ContextVar[str] = contextvars.ContextVar("invocation")


async def test_work_is_done_elsewhere_in_the_context_of_its_invocation() -> None:
    invocation.set("this one")
    seen: list[tuple[str, bool]] = []
    await OwnThreads(1).run(
        lambda: seen.append((invocation.get(), threading.current_thread() is threading.main_thread()))
    )

    assert seen == [("this one", False)]


async def test_what_it_raises_leaves_the_function() -> None:
    def fail() -> None:
        raise OSError("of the work")

    with pytest.raises(OSError, match="of the work"):
        await OwnThreads(1).run(fail)


async def test_the_event_loop_goes_on_meanwhile_and_the_rest_waits() -> None:
    threads, gate, started = OwnThreads(2), threading.Event(), threading.Semaphore(0)

    def work() -> None:
        started.release()
        gate.wait(30)

    tasks = [asyncio.create_task(threads.run(work)) for _ in range(3)]
    for _ in range(2):
        await asyncio.to_thread(started.acquire)
    assert not await asyncio.to_thread(started.acquire, timeout=0.1)
    gate.set()
    await asyncio.gather(*tasks)

    assert started.acquire(blocking=False)
