"""Threads apart from those that the Functions worker gives to synchronous functions.

That pool has a handful (https://learn.microsoft.com/azure/azure-functions/python-scale-performance-reference), and an
exporter mostly waits, for Graph and for its pace. In that pool, where a plan does not scale each function by itself,
exporters would keep notifications and subscriptions waiting as well.
"""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class OwnThreads:
    """Runs work on ``count`` threads of its own; what is more waits its turn."""

    def __init__(self, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="own")

    async def run(self, work: Callable[[], None]) -> None:
        """Do the work, in the context of the invocation that it belongs to. Raises what it raises."""
        context = contextvars.copy_context()
        await asyncio.get_running_loop().run_in_executor(self._pool, context.run, work)
