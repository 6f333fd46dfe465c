"""Whoever listens at the socket instead of a node, or a node of another age: one line is said, and an exit code chosen."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import node_rig
import pytest

from edge.cli import main

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
ANSWERS = {
    "no-http": b"220 mail.example ready\r\n",
    "nothing": b"",
    "no-json": OK % (4, b"oops"),
    "no-text": OK.replace(b"application/json", b"text/plain") % (2, b"\xff\xfe"),
    "null": OK % (4, b"null"),
    "list": OK % (3, b"[1]"),
    "object": OK % (2, b"{}"),
    "half": OK % (9, b"{}"),
}
COMMANDS = (
    ("status", "SOCKET"),
    ("top", "SOCKET", "--count", "1"),
    ("explain", "SOCKET"),
    ("calls", "ls", "SOCKET"),
    ("bgp", "peers", "SOCKET"),
    ("bgp", "routes", "SOCKET"),
    ("drain", "SOCKET", "--wait"),
    ("withdraw", "SOCKET"),
    ("announce", "SOCKET"),
    ("undrain", "SOCKET"),
    ("node", "reload", "SOCKET", "--wait"),
    ("report", "SOCKET", "--out", "report.html"),
    ("probe", "SOCKET"),
    ("keys", "rotate", "ring.toml", "--node", "SOCKET", "--timeout", "0.1"),
    ("doctor", "SOCKET"),
    ("support-bundle", "SOCKET"),
)


@pytest.fixture(scope="module", params=ANSWERS)
def stranger(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("stranger") / "admin.sock"

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline() not in (b"\r\n", b""):
                pass
            self.wfile.write(ANSWERS[request.param])

    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield path
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_it_is_told_in_one_line(
    command: tuple[str, ...],
    stranger: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["keys", "new", "ring.toml"]) == 0
    code = main([str(stranger) if word == "SOCKET" else word for word in command])
    said = capsys.readouterr()
    if code == 0:
        # What is asked of many nodes shows each, whatever it is.
        assert command[0] in ("status", "top", "report")
        assert "unreachable" in said.out or command[0] == "report"
    else:
        assert 1 <= code <= 6
        assert [line for line in said.err.splitlines() if line.startswith("edgectl: error: ")], said.err


def test_the_doctor_looks_at_what_no_node_has_to_tell(
    stranger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node_rig.certify(tmp_path)
    config = tmp_path / "node.toml"
    config.write_text(node_rig.CONFIG.replace("PORT", str(node_rig.free_port())))
    assert main(["doctor", str(stranger), "--config", str(config), "-o", "json"]) == 1
    findings = {one["check"]: one for one in json.loads(capsys.readouterr().out)["findings"]}
    assert {"clock", "ports", "certificate"} <= findings.keys()
    assert findings["node"]["verdict"] == "fail"
