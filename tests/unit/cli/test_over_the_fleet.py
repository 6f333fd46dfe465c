"""Commands over a fleet: which nodes are meant, what is shown of those that answer, and how it ends if some do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from fleet_files import write_fleet

from edge.cli import main, where
from edge.cli import status as status_command
from edge.errors import UnreachableError
from edge.fleet.observed import Seen, Wanted, understood
from edge.runtime.admin import AnnounceOrder

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No fleet but the test's, and no node on this machine."""
    for name in ("EDGECTL_FLEET", "EDGECTL_CONTEXT", where.SOCKET_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(where, "DEFAULT_SOCKET", tmp_path / "no.sock")
    monkeypatch.setattr(where, "_LAB_DIR", tmp_path / "no-lab")
    monkeypatch.setattr(status_command, "POLL_S", 0.01)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def fleet(tmp_path: Path, serve: Callable[[Path], None]) -> str:
    """ams-1 and ams-2 answer, fra-1 does not run."""
    names = ("ams-1", "ams-2", "fra-1")
    (tmp_path / "voice").mkdir()
    file = write_fleet(tmp_path / "voice", {name: f'socket = "{tmp_path}/{name}.sock"' for name in names})
    for name in names[:2]:
        serve(tmp_path / f"{name}.sock")
    return str(file)


def test_one_that_does_not_run_is_named_and_the_others_are_shown(fleet: str, capsys: Output) -> None:
    assert main(["--fleet", fleet, "status"]) == 3
    out, err = capsys.readouterr()
    assert err.startswith("edgectl: error: 1 of 3 nodes failed: fra-1: ")
    assert err.count("\n") == 1
    lines = out.splitlines()
    assert lines[0] == "voice: 3 nodes at 2 sites, 2 announce, 14 calls, pressure up to 0.00 (e1)"
    assert lines[2].startswith("✗ fra    dark: its only node is not known to announce; it cannot be asked")
    assert lines[3].startswith("✗ fra-1  unreachable: ")
    table = lines[lines.index("") + 1 :][lines[lines.index("") + 1 :].index("") + 1 :]
    assert [line.split()[:4] for line in table] == [
        ["NODE", "SITE", "STATE", "ROUTES"],
        ["✗", "fra-1", "fra", "unreachable"],
        ["ams-1", "ams", "announced", "announced"],
        ["ams-2", "ams", "announced", "announced"],
    ]


def test_all_that_fail_alike_end_as_one_would(fleet: str, capsys: Output) -> None:
    assert main(["--fleet", fleet, "status", "fra-1"]) == 5
    assert main(["--fleet", fleet, "status", "--site", "fra"]) == 5
    assert capsys.readouterr().err.count("edgectl: error: fra-1: ") == 2


@pytest.mark.parametrize(
    "words,meant",
    [
        ([], ["ams-1", "ams-2", "fra-1"]),
        (["ams-2"], ["ams-2"]),
        (["ams-2", "ams-2"], ["ams-2"]),
        (["--site", "ams"], ["ams-1", "ams-2"]),
        (["fra-1", "--site", "ams"], ["fra-1", "ams-1", "ams-2"]),
    ],
)
def test_which_nodes_are_meant(fleet: str, capsys: Output, words: list[str], meant: list[str]) -> None:
    main(["status", "--fleet", fleet, "-o", "json", *words])
    document = json.loads(capsys.readouterr().out)
    assert (document["apiVersion"], document["kind"], document["fleet"]) == (
        "edge/v1",
        "FleetStatus",
        "voice",
    )
    assert [node["name"] for node in document["nodes"]] == meant


def test_the_document_has_what_each_node_says_or_why_it_says_nothing(fleet: str, capsys: Output) -> None:
    assert main(["status", "--fleet", fleet, "-o", "json"]) == 3
    document = json.loads(capsys.readouterr().out)
    first, _, last = document["nodes"]
    assert (first["site"], first["error"], first["status"]["kind"]) == ("ams", None, "NodeStatus")
    assert (last["status"], last["error"]["exit_code"]) == (None, 5)
    assert [(one["severity"], one["about"], one["what"]) for one in document["findings"]] == [
        ("broken", "fra", "dark"),
        ("broken", "fra-1", "unreachable"),
    ]


def test_yaml_is_the_same_document(fleet: str, capsys: Output) -> None:
    main(["status", "--fleet", fleet, "ams-1", "-o", "yaml"])
    as_yaml = yaml.safe_load(capsys.readouterr().out)
    main(["status", "--fleet", fleet, "ams-1", "-o", "json"])
    as_json = json.loads(capsys.readouterr().out)
    assert as_yaml["nodes"] == as_json["nodes"]


@pytest.mark.parametrize(
    "arguments,says",
    [
        (["status", "lon-1"], "no node 'lon-1'; there are ams-1, ams-2, fra-1"),
        (["status", "--site", "lon"], "no site 'lon'; there are ams, fra"),
        (["status", "--wait", "ams-1"], "'ams-1' is not one of"),
        (["explain", "lon-1"], "no node 'lon-1'"),
        (["status", "--timeout", "0"], "0"),
        (["status", "--context", "test"], "no context 'test'"),
    ],
)
def test_wrong_words_are_one_line(fleet: str, capsys: Output, arguments: list[str], says: str) -> None:
    assert (
        main([arguments[0], *arguments[1:], *([] if "--context" in arguments else ["--fleet", fleet])]) == 2
    )
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert says in err


def test_without_any_fleet(capsys: Output) -> None:
    assert main(["status"]) == 5
    assert "no node is running on this machine" in capsys.readouterr().err
    assert main(["status", "--site", "ams"]) == 2
    assert "--site needs a fleet" in capsys.readouterr().err
    assert main(["probe", "./a.sock"]) == main(["config", "diff", "./a.sock"]) == 2


def test_an_order_goes_to_a_node_of_the_fleet(
    fleet: str, node: Any, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setenv("EDGECTL_FLEET", fleet)
    assert main(["announce", "ams-2", "--reason", "back"]) == 0
    (order,) = node.orders
    assert isinstance(order, AnnounceOrder)
    assert main(["announce", "fra-1"]) == 5
    assert len(node.orders) == 1


def test_contexts_name_fleets(fleet: str, capsys: Output, tmp_path: Path) -> None:
    assert main(["context", "add", "prod", fleet]) == 0
    assert main(["status", "ams-1"]) == 0
    other = tmp_path / "other"
    other.mkdir()
    write_fleet(other, {"lon-1": f'socket = "{tmp_path}/ams-1.sock"'})
    assert main(["context", "add", "test", str(other / "fleet.toml")]) == 0
    assert main(["-c", "test", "status", "lon-1"]) == main(["status", "-c", "test"]) == 0
    assert main(["context", "use", "test"]) == 0
    capsys.readouterr()
    assert main(["context", "ls", "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["current"]) for one in document["contexts"]] == [
        ("prod", False),
        ("test", True),
    ]
    assert main(["context", "rm", "test"]) == 0
    assert main(["context", "add", "bad", str(tmp_path / "none.toml")]) == 2
    assert main(["context", "ls"]) == 0
    assert capsys.readouterr().out.splitlines() == ["  NAME  FLEET", f"  prod  {fleet}"]


def test_waiting_ends_when_the_last_one_is_ready(
    fleet: str, node: Any, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    answers = iter([node.status() | {"state": "starting", "announced": False}] * 3)
    ready = node.status()
    monkeypatch.setattr(node, "status", lambda: next(answers, ready))
    assert main(["status", "--fleet", fleet, "--site", "ams", "--wait"]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines()[0] == "not ready yet: ams-1 (starting), ams-2 (starting)"
    assert "announced" in out


def test_waiting_in_vain_names_those_that_lack(fleet: str, capsys: Output) -> None:
    assert main(["status", "--fleet", fleet, "--wait=announced", "--wait-for", "0.05s"]) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert "edgectl: error: after 0.1 s not announced: fra-1 (" in err
    assert "ams-1" not in err


@pytest.mark.parametrize("name,ready", [("up", True), ("down", False)])
def test_ready_is_more_than_announced(name: str, ready: bool) -> None:
    status = understood(
        {"node": "a", "state": "announced", "announced": True, "bgp": {"neighbors": {"198.51.100.1": name}}}
    )
    assert status_command.STATES["ready"](status) is ready
    assert status_command.STATES["announced"](status)


def test_calls_are_listed_with_their_node(
    fleet: str, node: Any, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    count = {"frames": 7, "bytes": 700, "digest": "", "lost": 0}
    call = {"call_id": "sess_1", "worker": 0, "carrier": "quic", "outcome": "on_anycast", "ended": False}
    old = call | {"call_id": "sess_2", "age_s": 3720.0, "heard": count, "said": count}
    over = old | {"call_id": "sess_3", "ended": True}

    async def calls() -> list[Any]:
        return [over, call | {"age_s": 1.5, "heard": count, "said": count}, old]

    monkeypatch.setattr(node, "calls", calls)
    assert main(["calls", "ls", "--fleet", fleet, "ams-1"]) == 0
    _, first, second = capsys.readouterr().out.splitlines()
    assert first.split() == ["ams-1", "sess_2", "quic", "on", "anycast", "1", "h", "2", "min", "7", "7"]
    assert second.split()[:2] == ["ams-1", "sess_1"]
    assert main(["calls", "ls", "--fleet", fleet, "--ended", "-o", "json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert [(node["name"], len(node["calls"])) for node in document["nodes"]] == [("ams-1", 3), ("ams-2", 3)]


def test_differences_between_what_runs_and_what_is_wanted(
    fleet: str, node: Any, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    assert main(["config", "render", "--fleet", fleet, "ams-1"]) == 0
    wanted = capsys.readouterr().out
    monkeypatch.setattr(node, "config_text", lambda: wanted)
    assert main(["config", "diff", "--fleet", fleet, "ams-1"]) == 0
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(node, "config_text", lambda: wanted.replace("port = 443", "port = 444\n\x1b[2J"))
    assert main(["config", "diff", "--fleet", fleet, "ams-1"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("--- ams-1 (runs)\n+++ ams-1 (fleet file)\n")
    assert "\n-port = 444\n" in out.replace("  # defaults", "").replace(" " * 30, "")
    assert "\x1b" not in out
    assert main(["config", "diff", "--fleet", fleet, "--site", "ams", "-o", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert [node["same"] for node in document["nodes"]] == [False, False]
    assert main(["config", "diff", "--fleet", fleet]) == 3


def test_versions_of_the_fleet(
    fleet: str, node: Any, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setenv("EDGECTL_FLEET", fleet)
    status = node.status() | {"version": "0.0.9"}
    monkeypatch.setattr(node, "status", lambda: status)
    assert main(["version", "--fleet", "-o", "json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert (document["kind"], document["fleet"]) == ("FleetVersions", "voice")
    assert [(node["name"], node["runs"], node["wanted"]) for node in document["nodes"]] == [
        ("ams-1", "0.0.9", "0.1.0"),
        ("ams-2", "0.0.9", "0.1.0"),
        ("fra-1", None, "0.1.0"),
    ]
    assert [node["error"] and node["error"]["exit_code"] for node in document["nodes"]] == [None, None, 5]
    assert main(["version", "--fleet"]) == 3
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split() for row in rows] == [["ams-1", "0.0.9", "0.1.0"], ["ams-2", "0.0.9", "0.1.0"]]
    Path(fleet).write_text(
        Path(fleet).read_text().partition('[[nodes]]\nname = "fra-1"')[0].replace("[sites.fra]", "")
    )
    assert main(["version", "--fleet"]) == 1
    status["version"] = "0.1.0"
    assert main(["version", "--fleet"]) == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_names_of_the_fleet(
    fleet: str, shell: str, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    assert main(["completion", shell]) == 0
    assert "_EDGECTL_COMPLETE" in capsys.readouterr().out

    def completed(words: str) -> list[str]:
        monkeypatch.setenv("_EDGECTL_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
        with pytest.raises(SystemExit):
            main([])
        return [line.partition(",")[2] for line in capsys.readouterr().out.splitlines() if line]

    assert completed(f"edgectl --fleet {fleet} status a") == ["ams-1", "ams-2"]
    assert completed(f"edgectl status --fleet {fleet} --site ") == ["ams", "fra"]
    assert completed(f"edgectl --fleet {fleet} drain ams-1 f") == ["fra-1"]
    assert completed(f"edgectl bgp peers --fleet {fleet} --site f") == ["fra"]
    assert completed("edgectl comp") == ["completion"]
    monkeypatch.setenv("EDGECTL_FLEET", "spoiled")
    assert completed("edgectl explain ") == []


def test_top_prints_pages_where_there_is_no_terminal(fleet: str, capsys: Output) -> None:
    assert main(["top", "--fleet", fleet, "--interval", "0.01s", "--count", "2"]) == 0
    out, err = capsys.readouterr()
    assert out.count("voice: 3 nodes at 2 sites") == 2
    assert out.count("✗ fra-1  unreachable") == 2
    assert ("\x1b" in out, err) == (False, "")


def test_a_node_that_is_asked_by_its_path_is_called_by_its_name(
    tmp_path: Path, fleet: str, capsys: Output
) -> None:
    assert main(["status", str(tmp_path / "ams-1.sock")]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[0] == "e1"


def test_seen_is_at_its_site() -> None:
    assert Seen(Wanted("a", "ams"), error=UnreachableError("gone")).site == "ams"
