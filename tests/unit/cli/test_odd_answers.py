"""One of three nodes speaks in a way of its own: what the others say is shown all the same, and that one is named."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet_files import write_fleet

from edge.cli import main, where

Output = pytest.CaptureFixture[str]
LISTS = b'[{"call_id": 7}]'


@pytest.fixture(autouse=True)
def _nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EDGECTL_FLEET", "EDGECTL_CONTEXT", where.SOCKET_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(where, "_LAB_DIR", tmp_path / "no-lab")


def answer(body: bytes, kind: bytes = b"application/json", status: int = 200) -> bytes:
    head = b"HTTP/1.1 %d X\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (status, kind, len(body)) + body


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[dict[str, bytes]]:
    """What ams-2 answers, by its target; else ``any``."""
    answers = {"any": answer(b"{}")}
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "ams-2.sock"))
        listening.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    target = connection.recv(65536).split(b" ")[1].decode()
                    connection.sendall(answers.get(target, answers["any"]))

        thread = threading.Thread(target=serve)
        thread.start()
        yield answers
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture
def fleet(tmp_path: Path, serve: Callable[[Path], None], odd: dict[str, bytes]) -> str:
    names = ("ams-1", "ams-2", "fra-1")
    file = write_fleet(tmp_path, {name: f'socket = "{tmp_path}/{name}.sock"' for name in names})
    for name in ("ams-1", "fra-1"):
        serve(tmp_path / f"{name}.sock")
    return str(file)


ODD = {
    "a list": answer(LISTS),
    "no JSON": answer(b"{'it': is}"),
    "nested without end": answer(b"[" * 100_000),
    "no text": answer(b"\xff\xfe", b"text/plain"),
    "another program's": answer(b"<h1>Bad Gateway", b"text/html", 502),
    "an error of another form": answer(b'{"detail": "no"}', status=500),
    "half": answer(b"{}")[:-1],
    "nothing": b"",
}


@pytest.mark.parametrize("command", ["status", "calls ls", "config diff"])
@pytest.mark.parametrize("kind", ODD)
def test_the_others_are_shown(
    fleet: str, odd: dict[str, bytes], command: str, kind: str, capsys: Output
) -> None:
    odd["any"] = ODD[kind]
    assert main([*command.split(), "--fleet", fleet, "-o", "json"]) == 3
    out, err = capsys.readouterr()
    assert err.startswith("edgectl: error: 1 of 3 nodes failed: ams-2: ")
    assert err.count("\n") == 1
    names = [one["name"] for one in json.loads(out)["nodes"]]
    assert [name for name in names if name != "ams-2"] == ["ams-1", "fra-1"]


def test_a_report_has_what_a_node_tells_though_it_does_not_explain(
    fleet: str, odd: dict[str, bytes], tmp_path: Path
) -> None:
    status: dict[str, Any] = {
        "node": "ams-2",
        "site": "ams",
        "state": "announced",
        "reason": "so \N{SNOWMAN}",
    }
    odd["/status"] = answer(json.dumps(status).encode())
    odd["any"] = answer(b'{"error": "no such thing", "exit_code": 1}', status=500)
    assert main(["report", "--fleet", fleet, "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "so \N{SNOWMAN}" in page
    assert "no such thing" not in page


def test_times_that_no_calendar_has_are_no_end_of_the_report(
    fleet: str, odd: dict[str, bytes], tmp_path: Path
) -> None:
    odd["/status"] = answer(b'{"node": "ams-2", "time": 1e300, "started_at": 1e300}')
    assert main(["report", "--fleet", fleet, "--out", str(tmp_path / "page.html")]) == 0
    assert "of another version" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_socket_has_nothing_to_be_compared_with(fleet: str, tmp_path: Path, capsys: Output) -> None:
    assert main(["config", "diff", "--fleet", fleet, str(tmp_path / "ams-1.sock")]) == 2
    assert "say it by its name" in capsys.readouterr().err
