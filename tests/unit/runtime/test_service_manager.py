"""sd_notify(3), as a service manager hears it."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.runtime.service_manager import ServiceManager, taken_from


@contextlib.contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as manager:
        manager.bind("\0" + address[1:] if address.startswith("@") else address)
        yield manager


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_each_piece_of_news_is_a_datagram(tmp_path: Path, kind: str) -> None:
    address = str(tmp_path / "notify") if kind == "path" else f"@edge-test-{os.getpid()}"
    with listening(address) as manager:
        service = ServiceManager(address)
        service.ready()
        service.status("announced;\n3 calls")
        service.status("announced;\n3 calls")
        service.feed()
        service.stopping(62.5)
        service.reloading()
        said = [manager.recv(1000).decode() for _ in range(5)]
        with pytest.raises(BlockingIOError):
            manager.recv(1000)
    assert said[:4] == [
        "READY=1",
        "STATUS=announced; 3 calls",
        "WATCHDOG=1",
        "STOPPING=1\nEXTEND_TIMEOUT_USEC=62500000",
    ]
    assert said[4].startswith("RELOADING=1\nMONOTONIC_USEC=")


@pytest.mark.parametrize(
    "environment,watchdog_s",
    [
        ({"WATCHDOG_USEC": "20000000"}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "7"}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "8"}, None),  # another's, inherited
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_who_is_watched_and_for_how_long(environment: dict[str, str], watchdog_s: float | None) -> None:
    assert ServiceManager.of({"NOTIFY_SOCKET": "/run/notify", **environment}, 7).watchdog_s == watchdog_s


@pytest.mark.parametrize(
    "environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1", "WATCHDOG_USEC": "1"}]
)
def test_without_a_manager_nothing_is_said(environment: dict[str, str]) -> None:
    service = ServiceManager.of(environment, 7)
    assert not service.is_there
    assert service.watchdog_s is None
    service.ready()


def test_children_do_not_speak_for_us() -> None:
    environment = {
        "NOTIFY_SOCKET": "/run/notify",
        "WATCHDOG_USEC": "5",
        "WATCHDOG_PID": str(os.getpid()),
        "HOME": "/",
    }
    assert taken_from(environment).watchdog_s == 5e-6
    assert environment == {"HOME": "/"}


def test_a_manager_that_has_gone_is_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ServiceManager(str(tmp_path / "nobody")).ready()
    assert "event=service_manager_not_told what=READY=1" in caplog.text
