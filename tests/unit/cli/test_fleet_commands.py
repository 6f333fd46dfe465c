"""What is made of the fleet file, on the command line: validate, show, init, render, inventory, sd and cid."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fleet_text import BASE

from edge.cid import encode
from edge.cli import main
from edge.cli.fleet import fleet
from edge.cli.sd import target_server
from edge.config.key_file import write_ring
from edge.fleet import load_fleet
from edge.fleet.render import config_hash, members_toml, node_toml
from edge.keys import KeyRing
from edge.quic import cid_configs

RING = KeyRing.new(bytes(32), datetime(2026, 11, 21, tzinfo=UTC))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Here, and with its key ring."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EDGECTL_FLEET", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "fleet.toml").write_text(BASE)
    (tmp_path / "secrets").mkdir()
    write_ring(tmp_path / "secrets" / "ring.toml", RING)
    return tmp_path / "fleet.toml"


def document(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


# validate


def test_a_good_file_is_valid_and_its_notes_stop_nothing(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fleet", "validate", "--no-secrets"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("fleet.toml:19: $.defaults.policy.min_announcing: while ams is dark")
    assert said.out.endswith("(note)\n")
    assert said.err == "fleet.toml: 3 nodes at 2 sites: valid\n"


def test_every_problem_is_a_line_on_stdout(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(BASE.replace("local_as = 64601", "local_as = 0").replace("med = 50", "med = -1"))
    assert main(["fleet", "validate", "fleet.toml"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in lines] == ["fleet.toml:15", "fleet.toml:46"]


def test_missing_secrets_are_problems_unless_they_are_elsewhere(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fleet", "validate", "-o", "json"]) == 2
    told = document(capsys)
    assert (told["kind"], told["valid"]) == ("FleetProblems", False)
    wrong = [problem for problem in told["problems"] if problem["severity"] == "error"]
    assert [(problem["line"], problem["where"]) for problem in wrong] == [
        (7, "$.secrets.certificate"),
        (8, "$.secrets.private_key"),
        (9, "$.secrets.bgp_md5"),
    ]
    assert main(["fleet", "validate", "-o", "json", "--no-secrets"]) == 0
    assert document(capsys)["valid"]


@pytest.mark.parametrize("how", ["argument", "option", "environment"])
def test_a_file_can_be_named_in_three_ways(
    how: str, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = file.with_name("other.toml")
    other.write_text(BASE.replace('name = "voice"', 'name = "other"'))
    if how == "environment":
        monkeypatch.setenv("EDGECTL_FLEET", str(other))
    if how == "argument":
        assert main(["fleet", "validate", str(other), "--no-secrets"]) == 0
        assert str(other) in capsys.readouterr().err
    else:
        assert (
            main(["fleet", "show", "-o", "json", *(["--fleet", str(other)] if how == "option" else [])]) == 0
        )
        assert document(capsys)["name"] == "other"


def test_without_a_file_one_is_told_how_to_make_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EDGECTL_FLEET", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert main(["fleet", "show"]) == 2
    assert "make one with 'edgectl fleet init'" in capsys.readouterr().err


# show


def test_show_tells_of_sites_and_nodes(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "show"]) == 0
    said = capsys.readouterr().out
    assert "fleet voice, version 0.1.0, by ssh: 3 nodes at 2 sites" in said
    assert "ams-2  ams   00000000000000a2  198.51.100.12, 2001:db8:a1::12  ams-2.mgmt.example" in said


def test_show_has_what_follows_for_a_node(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "show", "--node", "ams-1", "-o", "json"]) == 0
    told = document(capsys)
    assert told["kind"] == "FleetNode"
    assert told["metrics"] == "198.51.100.11:9464"
    assert told["neighbors"] == ["198.51.100.1"]
    assert main(["config", "render", "ams-1"]) == 0
    assert told["config_hash"] == config_hash(capsys.readouterr().out)
    assert main(["fleet", "show", "--node", "ams-9"]) == 2


# init

INIT = [
    *("fleet", "init", "--yes", "--name", "voice", "--service", "192.0.2.1", "--local-as", "64601"),
    *(
        "--node",
        "ams-1,198.51.100.11",
        "--node",
        "ams-2,198.51.100.12",
        "--upstream",
        "ams,198.51.100.1,64500",
    ),
]


def test_init_asks_nothing_with_yes(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*INIT, "new.toml"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "new.toml: 2 nodes at 1 site" in said.err
    assert "ring.toml" not in said.err, "is there"
    assert "still missing: " in said.err
    assert main(["fleet", "validate", "new.toml", "--no-secrets"]) == 0


def test_init_leaves_a_file_that_is_there(file: Path) -> None:
    assert main(INIT) == 6
    assert file.read_text() == BASE


@pytest.mark.parametrize(
    "without,says",
    [("--service", "--service: is missing"), ("--node", "--node: is missing"), ("--local-as", "local-as")],
)
def test_init_says_what_is_missing(
    without: str, says: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = list(INIT)
    while without in words:
        start = words.index(without)
        del words[start : start + 2]
    assert main([*words, "new.toml"]) == 2
    assert says in capsys.readouterr().err
    assert not file.with_name("new.toml").exists()


def test_init_writes_nothing_that_does_not_hold(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*INIT, "--node", "ams-3,198.51.100.11", "new.toml"]) == 2
    assert "198.51.100.11 is that of nodes[0] (ams-1)" in capsys.readouterr().err
    assert not file.with_name("new.toml").exists()


def test_init_asks_for_what_is_not_said(file: Path) -> None:
    answers = [
        "",
        "192.0.2.1, 2001:db8:1::1",
        "ams-1 198.51.100.11",
        "ams-1,198.51.100.11,2001:db8:a1::11",
        "",
    ]
    answers += ["ams,198.51.100.1,64500", "", "64601"]
    result = CliRunner().invoke(
        fleet,
        ["init", "new.toml"],
        input="\n".join(answers) + "\n",
        standalone_mode=False,
        catch_exceptions=False,
    )
    assert result.exception is None
    assert "'ams-1 198.51.100.11' is no node" in result.stderr
    assert result.stdout == ""
    made = load_fleet(file.with_name("new.toml"))
    assert (made.name, made.names) == ("voice", ("ams-1",))
    assert made.nodes[0].config.bgp is not None


def peer(md5: str | None) -> dict[str, Any]:
    return {"address": "169.254.169.254", "as": 64515, "md5_secret_ref": md5}


def made(name: str, last: int, bgp: dict[str, Any] | None) -> dict[str, Any]:
    address = f"198.51.100.{last}"
    return {
        "name": name,
        "site": name[:3],
        "server_id": f"{last:016x}",
        "unicast_v4": address,
        "ssh_user": "ops",
        "bgp": bgp,
    }


def test_init_takes_nodes_from_terraform(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And names it, so that a node which Terraform makes later needs no second word."""
    bgp = [{"local_as": 64512, "peers": [peer(name)]} for name in ("bgp_md5", "bgp_md5_fra")]
    nodes = [made("ams-1", 11, bgp[0]), made("fra-1", 12, bgp[1]), made("nyc-1", 13, None)]
    state = file.parent / "made"
    state.mkdir()
    output = state / "edge_nodes.json"
    output.write_text(json.dumps({node["name"]: node for node in nodes}))
    words = ["fleet", "init", "--yes", "--service", "192.0.2.1", "--from-terraform", str(output), "new.toml"]
    assert main(words) == 0
    said = capsys.readouterr().err
    assert "new.toml: 3 nodes at 3 sites" in said
    assert "secrets/bgp-md5.key (the password of the BGP sessions)" in said
    assert "secrets/bgp-md5-fra.key (the password of the BGP sessions)" in said
    assert 'terraform = "made/edge_nodes.json"' in file.with_name("new.toml").read_text()
    fleet = load_fleet(file.with_name("new.toml"))
    assert {node.name: bytes(node.server_id)[-1] for node in fleet.nodes} == {
        "ams-1": 11,
        "fra-1": 12,
        "nyc-1": 13,
    }
    assert [node.config.bgp is not None for node in fleet.nodes] == [True, True, False]
    assert fleet.node("ams-1").config.policy.min_announcing == 1
    secrets = [fleet.node(name).secrets.bgp_md5 for name in ("ams-1", "fra-1")]
    assert [path and path.name for path in secrets] == ["bgp-md5.key", "bgp-md5-fra.key"]


@pytest.mark.parametrize(
    "words", [["--node", "ams-1,198.51.100.11"], ["--local-as", "64601"], ["--upstream", "ams,192.0.2.9,1"]]
)
def test_what_terraform_says_is_not_said_twice(
    words: list[str], file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.with_name("nodes.json").write_text(json.dumps({"ams-1": made("ams-1", 11, None)}))
    begin = ["fleet", "init", "--yes", "--service", "192.0.2.1", "--from-terraform", "nodes.json"]
    assert main([*begin, *words, "new.toml"]) == 2
    assert "leave out --node" in capsys.readouterr().err
    assert main([*begin, "new.toml"]) == 0


# config render


def test_all_configurations_go_into_a_folder(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "render", "--all", "--out", "out"]) == 0
    made = load_fleet(file)
    for node in made.nodes:
        folder = file.parent / "out" / node.name
        assert (folder / "node.toml").read_text() == node_toml(made, node)
        assert (folder / "members.toml").read_text() == members_toml(made)
        assert config_hash(node_toml(made, node)) in capsys.readouterr().out or node.name != "ams-1"


def test_the_members_file_goes_to_stdout(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "render", "--members"]) == 0
    assert capsys.readouterr().out == members_toml(load_fleet(file))


@pytest.mark.parametrize(
    "words", [[], ["--all"], ["ams-1", "--members"], ["--all", "--members", "--out", "o"], ["ams-9"]]
)
def test_render_has_to_know_whose(words: list[str], file: Path) -> None:
    assert main(["config", "render", *words]) == 2


# inventory


def test_ansible_asks_in_two_ways(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inventory", "--list"]) == 0
    listed = document(capsys)
    assert main(["inventory", "--host", "fra-1"]) == 0
    assert document(capsys) == listed["_meta"]["hostvars"]["fra-1"]
    assert main(["inventory"]) == 0
    assert document(capsys)["all"]["children"]["edge"]["hosts"] == listed["_meta"]["hostvars"]


def test_terraforms_nodes_are_in_the_inventory(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = {"name": "fra-2", "site": "fra", "server_id": "00000000000000f2", "unicast_v4": "203.0.113.12"}
    nodes = {"fra-2": {**node, "unicast_v6": "2001:db8:f1::12"}}
    file.with_name("nodes.json").write_text(json.dumps(nodes))
    assert main(["inventory", "--from-terraform", "nodes.json", "--host", "fra-2"]) == 0
    assert document(capsys)["ansible_host"] == "203.0.113.12"
    assert main(["inventory", "--from-terraform", "nodes.json", "-o", "prometheus"]) == 0
    assert document(capsys)[3]["labels"] == {"site": "fra", "node": "fra-2"}


@pytest.mark.parametrize("words", [["--list", "--host", "x"], ["-o", "prometheus", "--list"]])
def test_an_inventory_is_one_thing_at_a_time(words: list[str], file: Path) -> None:
    assert main(["inventory", *words]) == 2


# sd


def test_targets_are_replaced_as_a_whole_and_only_if_they_change(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sd", "--write", "targets.json"]) == 0
    targets = file.with_name("targets.json")
    first = targets.stat()
    assert stat.S_IMODE(first.st_mode) == 0o644, "another user reads it"
    assert len(json.loads(targets.read_text())) == 3
    assert main(["sd", "--write", "targets.json"]) == 0
    assert targets.stat().st_ino == first.st_ino
    assert "is up to date" in capsys.readouterr().err
    file.write_text(BASE.replace('name = "fra-1"', 'name = "fra-9"'))
    assert main(["sd", "--write", "targets.json"]) == 0
    assert targets.stat().st_ino != first.st_ino
    assert "fra-9" in targets.read_text()
    assert [path.name for path in file.parent.glob("*targets*")] == ["targets.json"], (
        "nothing is left lying around"
    )


def test_a_fleet_that_is_wrong_leaves_the_targets_alone(file: Path) -> None:
    assert main(["sd", "--write", "targets.json"]) == 0
    before = file.with_name("targets.json").read_bytes()
    file.write_text("[fleet]\n")
    assert main(["sd", "--write", "targets.json"]) == 2
    assert file.with_name("targets.json").read_bytes() == before


@pytest.mark.parametrize(
    "listen,code", [("9000", 2), ("0.0.0.0:9000", 2), ("192.0.2.77:9000", 5)]
)  # fmt: skip
def test_where_nobody_can_listen(listen: str, code: int, file: Path) -> None:
    assert main(["sd", "--listen", listen]) == code


def test_prometheus_asks_and_the_fleet_file_is_read_anew(file: Path) -> None:
    async def answers() -> list[tuple[str, bytes]]:
        server = target_server(file)
        sock = socket.create_server(("127.0.0.1", 0))
        sock.setblocking(False)
        port = sock.getsockname()[1]
        await server.listen(sock)
        said = []
        try:
            for text in (BASE, BASE.replace('name = "fra-1"', 'name = "fra-9"'), "[fleet"):
                await asyncio.to_thread(file.write_text, text)
                said.append(await _get(port))
        finally:
            await server.close()
        return said

    good, changed, wrong = asyncio.run(answers())
    assert good[0].startswith("HTTP/1.1 200")
    assert "Content-Type: application/json\r\n" in good[0]
    assert [group["labels"]["node"] for group in json.loads(good[1])] == ["ams-1", "ams-2", "fra-1"]
    assert b"fra-9" in changed[1]
    assert wrong[0].startswith("HTTP/1.1 400")
    assert b"is not TOML" in wrong[1]


async def _get(port: int) -> tuple[str, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /targets HTTP/1.1\r\nHost: here\r\nX-Prometheus-Refresh-Interval-Seconds: 60\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return head.decode() + "\r\n", body


# cid


def test_a_connection_id_is_told_whose_it_is(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (config,) = cid_configs("edge", RING)
    cid = encode(config, bytes.fromhex("00000000000000a2"), bytes(8), 1).hex(":")
    assert main(["cid", "decode", cid, "-o", "json"]) == 0
    told = document(capsys)
    assert (told["kind"], told["node"], told["site"], told["worker"]) == ("ConnectionId", "ams-2", "ams", 1)
    assert main(["cid", "decode", cid]) == 0
    assert "node           ams-2" in capsys.readouterr().out


def test_a_connection_id_of_nobody_and_what_is_none(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (config,) = cid_configs("edge", RING)
    assert main(["cid", "decode", encode(config, bytes(8), bytes(8)).hex()]) == 1
    assert "no node of fleet.toml has this server ID" in capsys.readouterr().err
    assert main(["cid", "decode", "xyz"]) == 2
    assert main(["cid", "decode", "00"]) == 2


def test_keys_are_in_the_table_only_if_one_asks(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (config,) = cid_configs("edge", RING)
    key = (config.key or b"").hex()
    assert main(["cid", "table"]) == 0
    assert key not in capsys.readouterr().out
    assert main(["cid", "table", "-o", "json"]) == 0
    (listed,) = document(capsys)["configurations"]
    assert (listed["cid_key"], listed["config_id"], listed["issued"]) == (None, 0, True)
    assert main(["cid", "table", "--show-keys"]) == 0
    assert key in capsys.readouterr().out


def test_a_ring_in_a_vault_is_named_decrypted(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ring = file.parent / "secrets" / "ring.toml"
    copy = file.parent / "copy.toml"
    write_ring(copy, RING)
    ring.write_text("$ANSIBLE_VAULT;1.1;AES256\n61\n")
    assert main(["cid", "table"]) == 2
    assert "name a decrypted copy with --ring" in capsys.readouterr().err
    assert main(["cid", "table", "--ring", str(copy)]) == 0


# completion


@pytest.mark.parametrize(
    "words",
    [["config", "render"], ["fleet", "show", "--node"], ["inventory", "--host"]],
    ids=lambda words: words[0],
)
def test_a_shell_completes_names_of_nodes(words: list[str], file: Path) -> None:
    from click.shell_completion import ShellComplete

    from edge.cli.root import edgectl

    completion = ShellComplete(edgectl, {}, "edgectl", "_EDGECTL_COMPLETE")
    assert [item.value for item in completion.get_completions(words, "ams")] == ["ams-1", "ams-2"]
