"""edgectl up: a node that greets when it serves, is as quiet as a tool should be, and leaves nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request

TIMEOUT_S = 60


def free_ports():
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def test_a_node_to_talk_to_from_its_greeting_to_ctrl_c(tmp_path):
    port, page_port = free_ports()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "edge.cli",
            "up",
            "--backend",
            "echo",
            f"--port={port}",
            f"--page-port={page_port}",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        start_new_session=True,  # with a group of its own, as a terminal gives one
    )
    try:
        told = dict(process.stdout.readline().split(maxsplit=1) for _ in range(4))
        page = f"http://127.0.0.1:{page_port}/"
        assert told["page"].strip() == page
        with urllib.request.urlopen(page, timeout=TIMEOUT_S) as answer:
            assert answer.headers["content-type"].startswith("text/html")
        called = subprocess.run(
            [sys.executable, "-m", "edge.cli", *told["call"].split()[1:], "--say", "capital", "-o", "json"],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert called.returncode == 0, called.stderr
        assert json.loads(called.stdout)["ending"] == "hung_up"
        os.killpg(process.pid, signal.SIGINT)  # Ctrl-C is for everybody at the terminal
        out, err = process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
    assert (process.returncode, out, err) == (0, "", "Ctrl-C ends it.\n")
    assert not list(tmp_path.iterdir())
