"""Commands for one node that are given several: who gets the order, who is asked before, and what is told of each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fleet_files import write_fleet

from edge.cli import draining, main, where
from edge.cli import node as node_commands
from edge.errors import EdgeError, UsageError
from edge.runtime.admin import AnnounceOrder, DrainOrder, ReloadOrder, WithdrawOrder
from edge.runtime.desk import Desk
from edge.runtime.documents import DrainedCall, DrainReport, DrainStatus
from edge.runtime.lease import LeaseRequest

Output = pytest.CaptureFixture[str]


MOVED = DrainedCall(
    call_id="sess_1",
    worker=0,
    fate="moved",
    to="https://203.0.113.6:443",
    node="fra-1",
    took_ms=312.5,
    frames_missing=0,
)
CLOSED = msgspec.structs.replace(MOVED, call_id="sess_2", fate="closed", took_ms=None, frames_missing=None)


def report(name: str, phase: str, *calls: DrainedCall) -> DrainReport:
    status = DrainStatus(phase=phase, since_s=1.0, hand_over=True, deadline_in_s=None, left=0, fates={})
    return DrainReport(node=name, drain=status, calls=calls)


def named(node: Any, name: str, state: Path) -> Any:
    """A node with a name, that tells all that the fleet's guard asks for."""
    told = node.status
    node.name, node.desk, node.explanation["node"] = name, Desk(name, state), name
    node.status = lambda: (
        told()
        | {
            "node": name,
            "version": "0.1.0",
            "workers": [],
            "problems": [],
            "probe": {"passed": 9, "failed": 0},
            "drain": None,
            "lease": node.desk.holder(),
            "bgp": {"prefixes": ["198.51.100.0/24"], "neighbors": {"203.0.113.10": "up"}},
        }
    )
    return node


class Fleet:
    """ams-1, ams-2 and fra-1, which all announce."""

    def __init__(self, file: Path, nodes: dict[str, Any]) -> None:
        self.file = str(file)
        self.nodes = nodes

    def __getitem__(self, name: str) -> Any:
        return self.nodes[name]

    @property
    def ordered(self) -> dict[str, int]:
        """How many orders each node got that got any."""
        return {name: len(node.orders) for name, node in self.nodes.items() if node.orders}

    def take_out(self, name: str) -> None:
        """By hand, and long ago."""
        status = self[name].status() | {"state": "held", "announced": False}
        self[name].status = lambda: status

    def edgectl(self, *words: str) -> int:
        return main(["--fleet", self.file, *words])


@pytest.fixture
def fleet(
    tmp_path: Path,
    serve: Callable[..., None],
    another: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Fleet:
    for name in ("EDGECTL_FLEET", "EDGECTL_CONTEXT", where.SOCKET_VARIABLE, "SUDO_USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(where, "DEFAULT_SOCKET", tmp_path / "no.sock")
    monkeypatch.setattr(where, "_LAB_DIR", tmp_path / "no-lab")
    monkeypatch.setattr(draining, "POLL_S", 0.01)
    monkeypatch.setattr(node_commands, "POLL_S", 0.01)
    (tmp_path / "voice").mkdir()
    nodes = {}
    for name in ("ams-1", "ams-2", "fra-1"):
        (tmp_path / name).mkdir()
        nodes[name] = named(another(), name, tmp_path / name)
        serve(tmp_path / f"{name}.sock", nodes[name])
    keys = {name: f'socket = "{tmp_path}/{name}.sock"' for name in (*nodes, "lon-1")}  # lon-1 does not run
    return Fleet(write_fleet(tmp_path / "voice", keys), nodes)


# --- which nodes are meant, and what is printed of them --------------------------------------------------------


@pytest.mark.parametrize(
    "words,meant",
    [
        (["fra-1", "ams-1"], ["fra-1", "ams-1"]),
        (["--site", "ams"], ["ams-1", "ams-2"]),
        (["--site", "fra"], ["fra-1"]),
        (["ams-1", "--site", "ams", "--site", "fra"], ["ams-1", "ams-2", "fra-1"]),
        (["ams-1", "ams-1"], ["ams-1"]),
    ],
)
@pytest.mark.parametrize(
    "command,kind",
    [
        (["explain"], "NodeExplanation"),
        (["bgp", "peers"], "BgpPeers"),
        (["bgp", "routes"], "BgpRoutes"),
        (["announce"], "NodeStatus"),
        (["undrain"], "NodeStatus"),
    ],
)
def test_several_are_one_document_with_that_of_each(
    fleet: Fleet, capsys: Output, command: list[str], kind: str, words: list[str], meant: list[str]
) -> None:
    assert fleet.edgectl(*command, *words, "-o", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["apiVersion"], document["kind"]) == ("edge/v1", f"{kind}List")
    assert [node["name"] for node in document["nodes"]] == meant
    assert {(node["error"], node["document"]["kind"]) for node in document["nodes"]} == {(None, kind)}
    assert fleet.edgectl(*command, meant[0], "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["kind"] == kind


@pytest.mark.parametrize(
    "command",
    [
        ["explain"],
        ["bgp", "peers"],
        ["bgp", "routes"],
        ["withdraw"],
        ["drain"],
        ["announce"],
        ["node", "reload"],
    ],
)
def test_one_that_does_not_answer_is_named_and_the_others_are_done(
    fleet: Fleet, capsys: Output, command: list[str]
) -> None:
    assert fleet.edgectl(*command, "ams-1", "lon-1") == 3
    out, err = capsys.readouterr()
    assert "ams-1" in out
    assert err.startswith("edgectl: error: 1 of 2 nodes failed: lon-1: ")
    assert err.count("\n") == 1
    assert fleet.edgectl(*command, "lon-1", "ams-2", "-o", "json") == 3
    first, second = json.loads(capsys.readouterr().out)["nodes"]
    assert (first["name"], first["document"], first["error"]["exit_code"]) == ("lon-1", None, 5)
    assert (second["name"], second["error"]) == ("ams-2", None)


def test_if_none_answers_nothing_is_printed_and_it_ends_as_one_would(fleet: Fleet, capsys: Output) -> None:
    assert fleet.edgectl("explain", "--site", "lon") == 5
    assert capsys.readouterr().out == ""


def test_rows_say_of_which_node_they_are(fleet: Fleet, capsys: Output) -> None:
    assert fleet.edgectl("bgp", "peers", "ams-1", "fra-1") == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["NODE", "PEER"]
    assert [row.split()[:2] for row in rows] == [
        [name, peer] for name in ("ams-1", "fra-1") for peer in ("203.0.113.10", "203.0.113.101")
    ]
    assert fleet.edgectl("explain", "ams-1", "fra-1") == 0
    lines = capsys.readouterr().out.splitlines()
    for name in ("ams-1", "fra-1"):
        at = next(index for index, line in enumerate(lines) if line.startswith(f"{name} ─"))
        assert lines[at + 1].startswith(f"{name} has been WITHDRAWN for 3 min 12 s")


def test_a_witness_that_only_some_hear_is_an_error_of_the_others(
    fleet: Fleet, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = fleet["fra-1"].bgp_routes()
    monkeypatch.setattr(
        fleet["fra-1"], "bgp_routes", lambda: msgspec.structs.replace(heard, received=heard.received[:1])
    )
    assert fleet.edgectl("bgp", "routes", "ams-1", "fra-1", "--as-seen-by", "203.0.113.102") == 3
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["NODE", "ams-1"]
    assert "fra-1: nothing is heard from '203.0.113.102'; who tells of routes: 203.0.113.101" in err


def test_one_of_another_version_leaves_the_others(
    fleet: Fleet, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        fleet["ams-2"], "explain", lambda: {"kind": "NodeExplanation", "apiVersion": "edge/v2"}
    )
    assert fleet.edgectl("explain", "--site", "ams") == 3
    out, err = capsys.readouterr()
    assert "ams-1 has been WITHDRAWN" in out
    assert "ams-2: the node's answer is of another version" in err


def test_to_say_nothing_is_no_order_to_a_fleet(fleet: Fleet, capsys: Output) -> None:
    for command in (["drain"], ["withdraw"], ["announce"], ["undrain"], ["node", "reload"], ["explain"]):
        assert fleet.edgectl(*command) == 5
        assert "no node is running on this machine" in capsys.readouterr().err
    assert fleet.ordered == {}


def test_a_site_without_nodes_is_a_mistake(fleet: Fleet, capsys: Output) -> None:
    file = Path(fleet.file)
    file.write_text(file.read_text().replace("[sites.lon]", "[sites.lon]\n[sites.empty]"))
    assert fleet.edgectl("withdraw", "--site", "empty") == 2
    assert "no node is at empty" in capsys.readouterr().err
    assert fleet.edgectl("withdraw", "ams-1", "--site", "nowhere") == 2
    assert "no site 'nowhere'" in capsys.readouterr().err
    assert fleet.ordered == {}


# --- the guard ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["withdraw", "drain"])
def test_a_site_is_taken_out_while_another_announces(fleet: Fleet, capsys: Output, command: str) -> None:
    assert fleet.edgectl(command, "--site", "ams", "--reason", "a new switch") == 0
    assert fleet.ordered == {"ams-1": 1, "ams-2": 1}
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["NODE", "STATE", "CALLS", "HOLD"]
    assert [row.split()[:3] for row in rows] == [["ams-1", "held", "7"], ["ams-2", "held", "7"]]
    assert all(row.endswith(": a new switch") for row in rows)


@pytest.mark.parametrize("command", [["withdraw"], ["drain"], ["drain", "--wait"], ["drain", "-o", "json"]])
def test_the_last_two_are_not_taken_out_together(fleet: Fleet, capsys: Output, command: list[str]) -> None:
    fleet.take_out("fra-1")
    assert fleet.edgectl(*command, "ams-1", "ams-2") == 6
    out, err = capsys.readouterr()
    assert out == ""
    assert "ams-1 and ams-2 would leave 198.51.100.0/24 without any node that announces" in err
    assert "(lon-1 did not answer)" in err
    assert fleet.ordered == {}
    assert fleet.edgectl("withdraw", "ams-1") == 0  # each of them may


def test_by_force_they_are(fleet: Fleet) -> None:
    assert fleet.edgectl("withdraw", "ams-1", "ams-2", "fra-1", "--force") == 0
    assert fleet.ordered == {"ams-1": 1, "ams-2": 1, "fra-1": 1}
    assert all(order.force for node in fleet.nodes.values() for order in node.orders)


def test_who_does_not_answer_is_not_counted_upon_to_stay(fleet: Fleet, capsys: Output) -> None:
    assert fleet.edgectl("withdraw", "ams-1", "ams-2", "fra-1", "lon-1") == 6
    assert fleet.ordered == {}


def test_only_who_cannot_see_the_others_is_told_to_do_it_all_the_same(fleet: Fleet) -> None:
    fleet["ams-2"].explanation["view"]["problem"] = "no neighbor has the role fleet"
    assert fleet.edgectl("withdraw", "--site", "ams") == 0
    assert [fleet[name].orders[0].force for name in ("ams-1", "ams-2")] == [False, True]


def test_a_lease_keeps_its_node_and_no_other(fleet: Fleet, capsys: Output) -> None:
    fleet["ams-2"].explanation["view"]["problem"] = "no neighbor has the role fleet"
    fleet["ams-2"].desk.take(LeaseRequest(who="bob", what="upgrade 0.2.0", ttl_s=600))
    assert fleet.edgectl("withdraw", "--site", "ams") == 3
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["NODE", "ams-1"]
    assert "1 of 2 nodes failed: ams-2: " in err
    assert "bob" in err
    assert fleet.ordered == {"ams-1": 1}


def test_of_no_fleet_they_are_taken_out_one_at_a_time(fleet: Fleet, tmp_path: Path, capsys: Output) -> None:
    paths = [str(tmp_path / f"{name}.sock") for name in ("ams-1", "ams-2")]
    assert main(["withdraw", *paths]) == 6
    assert "name one at a time, or --force" in capsys.readouterr().err
    assert fleet.edgectl("drain", "fra-1", paths[0]) == 6
    assert fleet.ordered == {}
    assert main(["withdraw", paths[0]]) == main(["announce", *paths]) == 0
    assert main(["withdraw", "--force", *paths]) == 0
    assert fleet.ordered == {"ams-1": 3, "ams-2": 2}


# --- drain --wait, and reload ------------------------------------------------------------------------------------


def test_drains_are_watched_together(fleet: Fleet, capsys: Output) -> None:
    fleet["ams-1"].reports = [report("ams-1", "settling", MOVED), report("ams-1", "empty", MOVED)]
    fleet["ams-2"].reports = [*[report("ams-2", "settling")] * 3, report("ams-2", "empty", MOVED)]
    assert fleet.edgectl("drain", "--site", "ams", "--wait") == 0
    out, err = capsys.readouterr()
    assert [(line.split()[0], "no call is left" in line) for line in err.splitlines()] == [
        ("ams-1", False),
        ("ams-2", False),
        ("ams-1", True),
        ("ams-2", True),
    ]
    head, first, second = out.splitlines()[-3:]
    assert head.split()[:2] == ["NODE", "CALL"]
    assert [line.split()[:3] for line in (first, second)] == [
        ["ams-1", "sess_1", "moved"],
        ["ams-2", "sess_1", "moved"],
    ]


@pytest.mark.parametrize("output", ["table", "json"])
def test_a_call_that_was_taken_is_told_with_its_node(fleet: Fleet, capsys: Output, output: str) -> None:
    fleet["ams-2"].reports = [report("ams-2", "empty", CLOSED, MOVED)]
    assert fleet.edgectl("drain", "ams-1", "ams-2", "--wait", "-o", output) == 3
    out, err = capsys.readouterr()
    assert "1 of 2 nodes failed: ams-2: 1 of 2 calls did not move: sess_2 closed at the deadline" in err
    if output == "json":
        document = json.loads(out)
        assert document["kind"] == "DrainReportList"
        assert [len(node["document"]["calls"]) for node in document["nodes"]] == [0, 2]


def test_one_that_falls_silent_while_it_is_drained_leaves_the_others_watched(
    fleet: Fleet, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> DrainReport:
        raise EdgeError("its disk is gone")

    monkeypatch.setattr(fleet["ams-1"], "drain_report", broken)
    fleet["ams-2"].reports = [report("ams-2", "settling"), report("ams-2", "empty", MOVED)]
    assert fleet.edgectl("drain", "--site", "ams", "--wait", "-o", "json") == 3
    out, err = capsys.readouterr()
    assert "1 of 2 nodes failed: ams-1: its disk is gone" in err
    first, second = json.loads(out)["nodes"]
    assert (first["document"], second["document"]["drain"]["phase"]) == (None, "empty")


def test_one_that_refuses_the_drain_leaves_the_others_watched(fleet: Fleet, capsys: Output) -> None:
    fleet["ams-1"].refusal = UsageError("'until' has passed by the node's clock")
    fleet["ams-2"].reports = [report("ams-2", "empty", MOVED)]
    assert fleet.edgectl("drain", "--site", "ams", "--wait") == 3
    out, err = capsys.readouterr()
    assert "ams-1: 'until' has passed" in err.splitlines()[-1]
    assert out.splitlines()[-1].split()[:2] == ["ams-2", "sess_1"]


def test_nodes_are_reloaded_one_after_the_other(
    fleet: Fleet, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    for name in ("ams-1", "ams-2"):
        node = fleet[name]

        async def reload(order: ReloadOrder, node: Any = node, reload: Any = node.reload) -> object:
            events.append(f"{node.name} begins")
            return await reload(order)

        def status(node: Any = node, status: Any = node.status) -> dict[str, Any]:
            found: dict[str, Any] = status()
            if node.orders and len(found["generations"]) == 1:
                events.append(f"{node.name} is done")
            return found

        monkeypatch.setattr(node, "reload", reload)
        monkeypatch.setattr(node, "status", status)
    assert fleet.edgectl("node", "reload", "--site", "ams", "--wait") == 0
    assert events == ["ams-1 begins", "ams-1 is done", "ams-2 begins", "ams-2 is done"]
    assert capsys.readouterr().out.splitlines() == [
        "ams-1: generation 2 serves, 3 calls",
        "ams-2: generation 2 serves, 3 calls",
    ]


def test_orders_have_their_kind_whoever_else_gets_them(fleet: Fleet) -> None:
    for words in (["drain", "--let-end"], ["undrain"], ["withdraw"], ["announce", "--hold"]):
        assert fleet.edgectl(*words, "ams-1", "fra-1") == 0
    for name in ("ams-1", "fra-1"):
        drained, taken_back, withdrawn, pinned = fleet[name].orders
        assert isinstance(drained, DrainOrder)
        assert isinstance(withdrawn, WithdrawOrder)
        assert isinstance(taken_back, AnnounceOrder)
        assert isinstance(pinned, AnnounceOrder)
        assert (drained.hand_over, taken_back.hold, pinned.hold) == (False, False, True)
