"""Commands that talk to a node, typed right and wrong, over a real admin socket."""

from __future__ import annotations

import getpass
import json
import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.cli import main
from edge.cli import node as node_commands
from edge.errors import EdgeError, RefusedError
from edge.runtime.admin import AnnounceOrder, DrainOrder, ReloadOrder, WithdrawOrder

ORDERS = ("withdraw", "announce", "drain", "undrain")
TOMORROW = (datetime.now().astimezone() + timedelta(days=1)).isoformat()


@pytest.fixture
def place(tmp_path: Path, serve: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch) -> str:
    """The node, as the argument NODE."""
    monkeypatch.delenv("SUDO_USER", raising=False)
    serve(tmp_path / "admin.sock")
    return str(tmp_path / "admin.sock")


def test_a_withdrawal_says_who_and_why(place: str, node: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["withdraw", place, "--reason", "a new disk"]) == 0
    assert node.orders == [WithdrawOrder("a new disk", getpass.getuser())]
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith(f"e1 is held, withdrawn by {getpass.getuser()} since ")
    assert lines[0].endswith("until told otherwise: a new disk")
    assert lines[1:] == ["calls that are up and go on: 7"]
    assert err == ""


def test_whoever_hides_behind_sudo_is_named(place: str, node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")
    assert main(["drain", place]) == 0
    assert node.orders == [DrainOrder("", "alice")]


def test_spelled_out_it_is_the_same_order(place: str, node: Any) -> None:
    assert main(["withdraw", "--hold", "--force", place]) == 0
    assert main(["drain", "--force", place]) == 0
    who = getpass.getuser()
    assert node.orders == [WithdrawOrder("", who, force=True), DrainOrder("", who, force=True)]


@pytest.mark.parametrize("command", ["withdraw", "announce", "drain"])
def test_an_end_is_an_end_by_the_wall_clock(place: str, node: Any, command: str) -> None:
    assert main([command, place, "--for", "30m"]) == 0
    assert (
        main(
            [
                command,
                place,
                "--until",
                f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(time.time() + 3600))}",
            ]
        )
        == 0
    )
    first, second = (order.until - time.time() for order in node.orders)
    assert 1700 < first <= 1800
    assert 3500 < second <= 3600


def test_to_announce_releases_and_only_with_hold_pins(
    place: str, node: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    who = getpass.getuser()
    for arguments in (["announce"], ["undrain"], ["announce", "--hold", "--reason", "the match"]):
        assert main([*arguments, place]) == 0
    assert node.orders == [
        AnnounceOrder("", who),
        AnnounceOrder("", who),
        AnnounceOrder("the match", who, hold=True),
    ]
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == second == "e1 is announced, no hold"
    assert re.fullmatch(rf"e1 is announced, kept announced by {who} since .*: the match", third)


def test_a_reload_says_who_serves_and_who_is_leaving(
    place: str, node: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_commands, "POLL_S", 0.0)
    assert main(["node", "reload", place]) == 0
    assert main(["node", "reload", place, "--deadline", "30m", "--wait"]) == 0
    assert node.orders == [ReloadOrder(None, getpass.getuser()), ReloadOrder(1800.0, getpass.getuser())]
    assert capsys.readouterr().out.splitlines() == [
        "e1: generation 2 serves, 3 calls; generation 1 leaves, 4 calls",
        "e1: generation 2 serves, 3 calls",
    ]


def test_a_reload_that_fails_says_why(place: str, node: Any, capsys: pytest.CaptureFixture[str]) -> None:
    node.refusal = EdgeError("worker 1 did not come up: no such module")
    assert main(["node", "reload", place, "--wait"]) == EdgeError.exit_code
    assert capsys.readouterr().err == "edgectl: error: worker 1 did not come up: no such module\n"


def test_released_is_not_yet_announced(
    place: str, node: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = node.status() | {
        "state": "fenced",
        "reason": "4 self-probes in a row failed",
        "announced": False,
    }
    monkeypatch.setattr(node, "status", lambda: status)
    assert main(["announce", place]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "e1 is fenced, no hold",
        "why: 4 self-probes in a row failed; what would change it: edgectl explain",
        "calls that are up and go on: 7",
    ]


def test_a_guard_that_refuses_ends_with_its_own_code(
    place: str, node: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    node.refusal = RefusedError("e1 is the last to announce: no other node is seen announcing")
    assert main(["drain", place]) == 6
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"edgectl: error: {node.refusal}\n")


def test_what_another_operator_wrote_into_a_lease_cannot_speak_to_the_terminal(
    place: str, node: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    node.refusal = RefusedError("\x1b]0;owned\x07bob\nedgectl: error: has the lease")
    assert main(["drain", place]) == 6
    assert capsys.readouterr().err == "edgectl: error: ?]0;owned?bob edgectl: error: has the lease\n"


@pytest.mark.parametrize(
    "arguments,says",
    [
        (["withdraw", "--for", "30"], "'30' is not a span of time"),
        (["withdraw", "--until", "noon"], "'noon' is not a moment"),
        (["withdraw", "--until", "2001-01-01"], "is over already"),
        (["withdraw", "--for", "1h", "--until", TOMORROW], "give one"),
        (["drain", "--hold"], "No such option"),
        (["announce", "--let-end"], "No such option"),
        (["undrain", "--reason", "x"], "No such option"),
        (["withdraw", "--site", "ams"], "--site needs a fleet"),
        (["withdraw", "-o", "xml"], "'xml' is not one of"),
        (["withdraw", "--reason", "x" * 1001], "length <= 1000"),
        (["bgp", "routes", "--as-seen-by", "192.0.2.1"], "who tells of routes: 203.0.113.101, 203.0.113.102"),
    ],
)
def test_wrong_things_are_one_line_and_no_order(
    place: str,
    node: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    says: str,
) -> None:
    monkeypatch.setenv("EDGE_ADMIN_SOCKET", place)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert says in err
    assert node.orders == []


@pytest.mark.parametrize(
    "command", [["explain"], ["bgp", "peers"], ["bgp", "routes"], *([order] for order in ORDERS)]
)
def test_where_nobody_listens(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    assert main([*command, str(tmp_path / "admin.sock")]) == 5
    assert "no node is running here" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command,kind",
    [
        (["explain"], "NodeExplanation"),
        (["bgp", "peers"], "BgpPeers"),
        (["bgp", "routes"], "BgpRoutes"),
        *(([order], "NodeStatus") for order in ORDERS),
    ],
)
def test_json_is_one_document_that_says_what_it_is(
    place: str, capsys: pytest.CaptureFixture[str], command: list[str], kind: str
) -> None:
    assert main([*command, place, "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == kind


def test_an_explanation_is_plain_where_it_is_not_a_terminal(
    place: str, explanation: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", place]) == 0
    out = capsys.readouterr().out
    assert out.startswith("e1 has been WITHDRAWN for 3 min 12 s: overloaded")
    assert "\x1b" not in out
    assert main(["explain", place, "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == explanation


def test_a_node_of_another_version_is_told_from_a_broken_one(
    place: str, node: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(node, "explain", lambda: {"kind": "NodeExplanation", "apiVersion": "edge/v2"})
    assert main(["explain", place]) == 1
    assert re.search("another version .*; use its own edgectl, or -o json", capsys.readouterr().err)
    assert main(["explain", place, "-o", "json"]) == 0


def test_peers(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bgp", "peers", place]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "PEER           ROLE      AS     STATE  FOR        BFD  DAMPING  PATHS  WENT DOWN LAST FOR",
        "203.0.113.10   upstream  64501  up     1 h 2 min  up   cisco    0",
        "203.0.113.101  fleet     64600  down   -          -    off      0      peer reset?]0;owned?, message (hold timer)",
    ]


def test_routes_as_we_tell_them(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bgp", "routes", place]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "NEIGHBOR       PREFIX           NEXT HOP      CONFIRMED  MED  PATH               COMMUNITIES",
        "203.0.113.10   198.51.100.0/24  203.0.113.11  yes        -    64600 64600 64600  65535:0",
        "203.0.113.101  198.51.100.0/24  203.0.113.11  NOT YET    5    -                  65535:0",
    ]


def test_routes_as_others_tell_them(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bgp", "routes", place, "--as-seen-by", "reflector"]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head == "NEIGHBOR       PREFIX           NEXT HOP      OWN  ID  ORIGINATOR    COMMUNITIES"
    assert first == "203.0.113.101  198.51.100.0/24  203.0.113.21  -    2   203.0.113.21  64600:1:1 64600:3:4"
    assert second.split() == [
        "203.0.113.102",
        "198.51.100.0/24",
        "203.0.113.11",
        "own",
        "2",
        "-",
        "64600:1:1",
        "64600:3:4",
    ]
    assert main(["bgp", "routes", place, "--as-seen-by", "203.0.113.102", "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [route["neighbor"] for route in document["received"]] == ["203.0.113.102"]
    assert document["announced"] == []
