"""Reading from the bridge. What a real ExaBGP does is shown in tests/lab."""

import asyncio
import time
from pathlib import Path

from bgp.exabgp import ExaBgp

LINES = 300


def work() -> None:
    """As long as a line with hundreds of routes in it takes."""
    time.sleep(0.002)


def test_a_backlog_of_lines_leaves_room_for_others(tmp_path: Path) -> None:
    """The heartbeat of the bridge's lease is one of them, and the probes of the node."""

    async def story() -> None:
        exabgp = ExaBgp(tmp_path)
        exabgp._reader = asyncio.StreamReader()
        exabgp._reader.feed_data(b"line\n" * LINES)
        exabgp._reader.feed_eof()
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        lines = 0
        while await exabgp.read_line() is not None:
            lines += 1
            work()
        task.cancel()
        assert lines == LINES
        # 0.6 s of work, in slices of 0.02 s and the line they end with.
        assert turns > 15

    asyncio.run(story())
