"""`edgectl doctor`, `support-bundle`, `report` and `node check`, as they are typed, beside a node that runs."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import node_rig
import pytest

from edge.cli import main
from edge.config import ConfigFile, config_hash
from edge.node import Node

TABLES = "[shutdown]\ngrace_s = 0.0\n[workers]\ncount = 1\n"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("node")
    node_rig.certify(directory)
    (directory / "node.toml").write_text(node_rig.CONFIG.replace("PORT", str(node_rig.free_port())) + TABLES)
    return directory


@pytest.fixture(scope="module")
def running(directory: Path) -> Iterator[str]:
    """The argument NODE of one that runs, in a thread with a loop of its own."""
    file = ConfigFile(directory / "node.toml")
    up, ended = threading.Event(), []

    async def serve() -> None:
        from contextlib import AsyncExitStack

        async with AsyncExitStack() as stack:
            node = Node(file.parse(), file)
            await node.start(stack)
            leave = asyncio.Event()
            ended.append((asyncio.get_running_loop(), leave))
            while not node.ready().ok:  # noqa: ASYNC110 - the node's own doing
                await asyncio.sleep(0.05)
            up.set()
            await leave.wait()
            await node.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert up.wait(60)
    yield str(directory / "admin.sock")
    ((loop, leave),) = ended
    loop.call_soon_threadsafe(leave.set)
    thread.join()


def test_the_doctor_looks_at_a_node_that_runs(running: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", running, "-o", "json"])
    diagnosis = json.loads(capsys.readouterr().out)
    assert (diagnosis["apiVersion"], diagnosis["kind"], diagnosis["node"]) == ("edge/v1", "Diagnosis", "unit")
    assert (code == 1) == (diagnosis["verdict"] == "fail")
    by_check = {finding["check"]: finding for finding in diagnosis["findings"]}
    for check in ("node", "version", "ports", "certificate", "key ring", "secret files", "configuration"):
        assert by_check[check]["verdict"] == "ok", by_check[check]
    assert {"clock", "socket buffers", "kernel settings"} <= by_check.keys()
    main(["doctor", running])
    out = capsys.readouterr().out
    assert "it is announced" in out
    assert out.splitlines()[-1].endswith(" fail")


def test_the_doctor_fails_where_there_is_no_node(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(tmp_path / "none.sock"), "--config", str(directory / "node.toml")]) == 1
    assert "no node is running here" in capsys.readouterr().out
    assert main(["doctor", str(tmp_path / "none.sock"), "--config", str(tmp_path / "none.toml")]) == 2


@pytest.mark.parametrize("command", ["doctor", "support-bundle"])
def test_who_may_not_ask_the_node_is_told_that_and_not_of_a_file(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("edge.cli.doctor.CONFIG", tmp_path / "none.toml")
    assert main([command, str(tmp_path / "none.sock")]) == 5
    said = capsys.readouterr().err
    assert f"{tmp_path}/none.sock: no node is running here" in said
    assert "--config FILE" in said


@pytest.mark.parametrize("command", ["doctor", "support-bundle"])
def test_another_machine_is_not_looked_at_from_here(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its status beside this machine's addresses would be a diagnosis of nobody."""
    assert main([command, "fra-1"]) == 2
    assert "run it on that node" in capsys.readouterr().err


def test_a_bundle_is_its_owners_and_is_not_written_over_another_file(
    running: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle.tar.gz"
    assert main(["support-bundle", running, "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert stat.S_IMODE(os.stat(out).st_mode) == 0o600
    with tarfile.open(out) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "status.json",
        "explain.json",
        "config.json",
        "doctor.json",
        "manifest.json",
        "metrics.txt",
    } <= names
    before = out.read_bytes()
    assert main(["support-bundle", running, "--out", str(out)]) == 2
    assert out.read_bytes() == before


def test_a_report_is_written_of_those_that_answer(
    running: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.html"
    assert main(["report", running, "--out", str(out), "--title", "Fleet voice"]) == 0
    assert "<title>Fleet voice</title>" in out.read_text()
    gone = str(tmp_path / "none.sock")
    assert main(["report", running, gone, "--out", str(out)]) == 3
    assert "1 of 2 nodes failed" in capsys.readouterr().err
    assert "1 out of reach" in out.read_text()
    assert main(["report", running, "--out", str(tmp_path / "no" / "report.html")]) == 2


def test_a_configuration_is_checked_before_it_is_put_in_its_place(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = directory / "node.toml"
    assert main(["node", "check", "--config", str(good), "-o", "json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert (checked["kind"], checked["node"], checked["hash"]) == (
        "ConfigCheck",
        "unit",
        config_hash(good.read_text()),
    )
    bad = tmp_path / "node.toml"
    for text in (
        "nonsense",
        good.read_text() + "[nonsense]\n",
        good.read_text() + '[voice]\nbackend = "none"\n',
    ):
        bad.write_text(text)
        assert main(["node", "check", "--config", str(bad)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
