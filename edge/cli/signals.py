"""Ctrl-C and SIGTERM as a polite request."""

import asyncio
import signal
from collections.abc import Coroutine

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def until_signal(work: Coroutine[None, None, None]) -> None:
    """Run ``work``; the first signal cancels it and no more, so that the caller can finish in order.

    A second signal does what it does to any process. Raises what ``work`` raises.
    """
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, task.cancel)
    try:
        await asyncio.wait({task})
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
    if not task.cancelled():
        task.result()
