"""Single keys from a terminal, without waiting for a line to end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from typing import Final

_ARROWS: Final = {"\x1b[A": "k", "\x1b[B": "j", "\x1bOA": "k", "\x1bOB": "j"}


@contextlib.contextmanager
def keys(pressed: Callable[[str], None]) -> Iterator[None]:
    """``pressed`` is called in the loop that runs, an arrow as ``j`` or ``k``; the terminal is as before afterwards."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    loop = asyncio.get_running_loop()

    def read() -> None:
        typed = os.read(descriptor, 64).decode("utf-8", "replace")
        if not typed:  # the terminal is gone
            loop.remove_reader(descriptor)
            pressed("q")
        for key in [_ARROWS[typed]] if typed in _ARROWS else typed:
            pressed(key)

    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, read)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
