"""The live view: what fits on a screen of any size, and a real terminal that is as before in the end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cli.looking import Look
from edge.cli.top_screen import screen
from edge.errors import UnreachableError
from edge.fleet.observed import Seen, Wanted, understood

AT = 1_795_246_262.0
PATIENCE_S = 60.0
"""For a process to start and draw, on a machine that is busy."""


def node(number: int, **changes: Any) -> Seen:
    name = f"n-{number}"
    status = {"node": name, "site": "ams", "state": "announced", "announced": True, "pressure": number / 100}
    return Seen(Wanted(name, "ams"), status=understood(status | changes))


def silent(number: int) -> Seen:
    return Seen(Wanted(f"n-{number}", "ams"), error=UnreachableError("connection refused"))


def drawn(
    nodes: list[Seen], width: int = 120, height: int = 24, sort: str = "trouble", offset: int = 0
) -> list[str]:
    look = Look(AT, "voice", tuple(nodes), {})
    return [line.plain for line in screen(look, sort=sort, offset=offset, width=width, height=height)]


@given(
    healthy=st.integers(0, 60),
    broken=st.integers(0, 60),
    width=st.integers(20, 200),
    height=st.integers(8, 80),
    offset=st.integers(0, 200),
)
def test_it_fits_on_every_screen(healthy: int, broken: int, width: int, height: int, offset: int) -> None:
    nodes = [*map(node, range(healthy)), *map(silent, range(100, 100 + broken))]
    lines = drawn(nodes or [node(0)], width, height, offset=offset)
    assert len(lines) == height
    assert max(map(len, lines)) <= width
    assert "NODE" in "".join(lines)
    assert lines[-1].startswith("by trouble")


def test_what_does_not_fit_is_counted() -> None:
    lines = drawn([*map(node, range(5)), *map(silent, range(100, 140))], height=24)
    assert any(re.fullmatch(r"  and \d+ more: edgectl status", line) for line in lines)
    shown = sum(bool(re.match(r".  n-\d", line)) for line in lines)
    assert f"{45 - shown} of 45 nodes not shown" in lines[-1]


def test_where_all_fits_nothing_is_said_of_more() -> None:
    lines = drawn([node(1), silent(2)])
    assert [line for line in lines if line.startswith("✗ n-2")] == [
        "✗ n-2    unreachable: connection refused"
    ]
    assert "not shown" not in lines[-1]


@pytest.mark.parametrize(
    "sort,first", [("trouble", "n-7"), ("name", "n-1"), ("pressure", "n-9"), ("calls", "n-3")]
)
def test_it_is_sorted_as_one_likes(sort: str, first: str) -> None:
    nodes = [node(9), silent(7), node(1), node(3, calls=4)]
    lines = drawn(nodes, sort=sort)
    head = next(index for index, line in enumerate(lines) if "NODE" in line)
    assert first in lines[head + 1]


def test_scrolling_ends_with_the_last_node() -> None:
    nodes = [*map(node, range(10))]
    assert "n-9 " in drawn(nodes, height=12, offset=1000)[-2]


def test_what_a_node_says_cannot_speak_to_the_terminal() -> None:
    text = "\n".join(drawn([node(1, state="fenced", announced=False, reason="\x1b]0;owned\x07\x1b[2J")]))
    assert "\x1b" not in text
    assert "\x07" not in text
    stranger = Seen(Wanted("\x1b]0;owned\x07"), error=UnreachableError("gone"))
    assert "\x1b" not in "\n".join(drawn([stranger, node(2, pressure=1e308)]))


class Terminal:
    """``edgectl top`` on a terminal of its own."""

    def __init__(self, arguments: list[str]) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, 120, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.text = ""
        self.process = subprocess.Popen(
            ["setsid", "--ctty", sys.executable, "-P", "-m", "edge.cli", "top", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=os.environ | {"TERM": "xterm"},
        )

    def until(self, holds: Callable[[str], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not holds(self.text):
            assert time.monotonic() < deadline, self.text
            ended = self.process.poll() is not None
            if select.select([self.master], [], [], 0.1)[0]:
                self.text += os.read(self.master, 65536).decode("utf-8", "replace")
            else:
                assert not ended or holds(self.text), self.text

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def ended(self) -> int:
        self.until(lambda _: self.process.poll() is not None)
        assert termios.tcgetattr(self.slave) == self.before
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal(tmp_path: Path, serve: Callable[[Path], None]) -> Iterator[Terminal]:
    serve(tmp_path / "admin.sock")
    with contextlib.closing(Terminal([str(tmp_path / "admin.sock"), "--interval", "1s"])) as terminal:
        terminal.until(lambda text: "announced" in text and "by trouble" in text)
        yield terminal


def test_keys_sort_and_quit(terminal: Terminal) -> None:
    terminal.press("p")
    terminal.until(lambda text: "by pressure" in text)
    terminal.press("\x1b[B")
    terminal.press("q")
    assert terminal.ended() == 0
    assert "Traceback" not in terminal.text
    assert "\x1b[?1049l" in terminal.text


@pytest.mark.parametrize("no_color,green", [("", True), ("1", False)])
def test_colours_are_for_who_wants_them(
    no_color: str, green: bool, tmp_path: Path, serve: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    serve(tmp_path / "admin.sock")
    with contextlib.closing(Terminal([str(tmp_path / "admin.sock"), "--count", "2"])) as terminal:
        assert terminal.ended() == 0
    assert "announced" in terminal.text
    assert ("\x1b[1;32m" in terminal.text) is green


@pytest.mark.parametrize("how", ["key", "signal"])
def test_it_can_be_interrupted(terminal: Terminal, how: str) -> None:
    if how == "key":
        terminal.press("\x03")
    else:
        os.kill(terminal.process.pid, signal.SIGINT)
    assert terminal.ended() == 130
    assert "Traceback" not in terminal.text
    assert "\x1b[?1049l" in terminal.text
