"""Which node a word on the command line means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.cli import where
from edge.errors import UnreachableError, UsageError
from edge.fleet.unix import UnixTransport
from edge.lab import standing


@pytest.fixture(autouse=True)
def _bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a node nor a lab."""
    monkeypatch.delenv(where.SOCKET_VARIABLE, raising=False)
    monkeypatch.setattr(where, "DEFAULT_SOCKET", tmp_path / "run" / "admin.sock")
    monkeypatch.setattr(where, "_LAB_DIR", tmp_path / "inside")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, list[str]], Path]:
    """Lets a lab stand with these edges up; returns its directory."""
    labs: dict[str, Path] = {}
    monkeypatch.setattr(standing, "names", lambda: list(labs))
    monkeypatch.setattr(where, "_lab_dir", lambda lab: labs[lab])

    def stand(name: str, edges: list[str]) -> Path:
        labs[name] = tmp_path / "outside" / name
        furnish(labs[name], edges)
        return labs[name]

    return stand


def socket_of(node: str | None, lab: str | None = None) -> Path:
    transport = where.find(node, lab).transport
    assert isinstance(transport, UnixTransport)
    return transport.socket


def furnish(directory: Path, edges: list[str]) -> None:
    for edge in edges:
        (directory / edge).mkdir(parents=True)
        (directory / edge / "admin.sock").touch()
    (directory / "cert.pem").touch()


def test_a_word_with_a_slash_is_a_path() -> None:
    assert socket_of("./admin.sock") == Path("admin.sock")
    assert socket_of("/srv/e1/admin.sock") == Path("/srv/e1/admin.sock")


def test_no_word_is_this_machines_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnreachableError, match="no node is running on this machine; start one with"):
        where.find(None)
    furnish(tmp_path, ["run"])
    assert socket_of(None) == tmp_path / "run" / "admin.sock"
    monkeypatch.setenv(where.SOCKET_VARIABLE, "/srv/admin.sock")
    assert socket_of(None) == Path("/srv/admin.sock")


def test_a_name_without_any_lab() -> None:
    with pytest.raises(UnreachableError, match=r"ams-1: no fleet is chosen and no lab is up"):
        where.find("ams-1")
    with pytest.raises(UnreachableError, match=r"lab 'spare' is not up \(up: none\)"):
        where.find("e1", "spare")


def test_a_name_inside_a_lab(tmp_path: Path, stand: Callable[[str, list[str]], Path]) -> None:
    stand("default", ["e1"])
    furnish(tmp_path / "inside", ["e1", "e2"])
    assert socket_of("e1") == tmp_path / "inside" / "e1" / "admin.sock"
    with pytest.raises(UsageError, match=r"no node 'e3': this lab has e1, e2$"):
        where.find("e3")


def test_a_name_in_the_one_lab_that_has_it(stand: Callable[[str, list[str]], Path]) -> None:
    first, second = stand("default", ["e1", "e2"]), stand("spare", ["e2", "e3"])
    assert socket_of("e1") == first / "e1" / "admin.sock"
    assert socket_of("e3") == second / "e3" / "admin.sock"
    assert socket_of("e2", "spare") == second / "e2" / "admin.sock"
    with pytest.raises(UsageError, match="a node 'e2' in lab 'default', lab 'spare'; say which with --lab"):
        where.find("e2")
    with pytest.raises(UsageError, match="no node 'e9': lab 'default' has e1, e2; lab 'spare' has e2, e3"):
        where.find("e9")
    with pytest.raises(UsageError, match=r"which node of lab 'spare'\? there are e2, e3"):
        where.find(None, "spare")


@pytest.mark.parametrize("word", ["", "..", "cert.pem", "e1\x00"])
def test_words_that_are_no_node(word: str, stand: Callable[[str, list[str]], Path]) -> None:
    stand("default", ["e1"])
    with pytest.raises(UsageError, match=r"no node .*: lab 'default' has e1"):
        where.find(word)


def test_a_node_that_is_not_running(stand: Callable[[str, list[str]], Path]) -> None:
    (stand("default", ["e1"]) / "e1" / "admin.sock").unlink()
    with pytest.raises(UnreachableError, match="e1 in lab 'default' is not running, or not yet"):
        where.find("e1")


def test_a_lab_that_ends_meanwhile(stand: Callable[[str, list[str]], Path], tmp_path: Path) -> None:
    stand("default", ["e1"]).rename(tmp_path / "gone")
    with pytest.raises(UnreachableError, match="cannot look into the lab: No such file or directory"):
        where.find("e1")
