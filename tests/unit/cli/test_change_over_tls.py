"""A fleet that is reached over mutual TLS: what would change nodes is refused before any of them is asked anything."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from fleet_files import write_fleet

from edge.cli import main
from edge.fleet import load_fleet
from edge.fleet.render import node_toml
from edge.fleet.ways import require_programs

FILES = 'ca = "chain.pem"\ncertificate = "chain.pem"\nprivate_key = "key.pem"\n'


def over_tls(directory: Path, port: int) -> Path:
    access = f'transport = "tls"\nport = {port}\n{FILES}[defaults.admin]\n{FILES}'
    return write_fleet(directory, {"ams-1": ""}, access=access)


@pytest.mark.parametrize("more", [["--yes"], ["--dry-run"]])
@pytest.mark.parametrize(
    "command", [["upgrade"], ["upgrade", "0.2.0"], ["upgrade", "--resume"], ["rollback"], ["config", "apply"]]
)
def test_it_is_refused_at_once_and_says_what_to_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], more: list[str]
) -> None:
    with socket.create_server(("127.0.0.2", 0)) as node:
        node.setblocking(False)
        file = over_tls(tmp_path, node.getsockname()[1])
        assert main(["--fleet", str(file), *command, *more]) == 2
        with pytest.raises(BlockingIOError):
            node.accept()  # nobody came
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f'edgectl: error: {file}:6: $.access.transport: over "tls" ')
    assert 'use a fleet file with transport = "ssh"' in err
    assert err.count("\n") == 1


def test_where_programs_can_be_run_nothing_is_said(tmp_path: Path) -> None:
    for transport in ("unix", "ssh"):
        require_programs(
            load_fleet(write_fleet(tmp_path, {"ams-1": ""}, access=f'transport = "{transport}"'))
        )


def test_a_second_file_for_ssh_makes_the_same_configurations(tmp_path: Path) -> None:
    """As the how-to has it: or `config apply` by that file would take the listener away that the first one needs."""
    made = []
    for transport in ("tls", "ssh"):
        (tmp_path / transport).mkdir()
        file = over_tls(tmp_path / transport, 4435)
        text = file.read_text().replace('transport = "tls"', f'transport = "{transport}"')
        file.write_text(f'{text}\n[nodes.config.admin]\nlisten = "127.0.0.2:4435"\n')
        fleet = load_fleet(file)
        made.append(node_toml(fleet, fleet.nodes[0]))
    assert made[0] == made[1]
    assert 'listen = "127.0.0.2:4435"' in made[0]
