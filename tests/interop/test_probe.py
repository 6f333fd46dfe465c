"""Real calls to a real node, as `edgectl probe` makes them."""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet_files import write_fleet
from interop.ssh_rig import node

from edge.cli import main
from edge.config import load_config

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def there() -> Iterator[Path]:
    """The directory of a node that is called unit, and takes calls."""
    with tempfile.TemporaryDirectory(prefix="edge-probe-") as name, node(Path(name)):
        directory = Path(name)
        deadline = time.monotonic() + PATIENCE_S
        while main(["status", str(directory / "admin.sock"), "--wait", "--wait-for", "60s"]) != 0:
            assert time.monotonic() < deadline
        yield directory


def fleet(there: Path, *names: str) -> str:
    """Of nodes at 127.0.0.2 and on; the first is there."""
    port = load_config(there / "node.toml").service.port
    directory = Path(tempfile.mkdtemp(dir=there))
    return str(write_fleet(directory, {name: f'socket = "/{name}.sock"' for name in names}, port=port))


def probed(capsys: pytest.CaptureFixture[str]) -> tuple[list[Any], str]:
    out, err = capsys.readouterr()
    return json.loads(out)["calls"], err


def test_a_node_and_the_service_are_called(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ca = str(there / "cert.pem")
    assert main(["probe", "--fleet", fleet(there, "unit"), "--ca", ca, "--timeout", "60", "-o", "json"]) == 0
    (own, service), _ = probed(capsys)
    assert (own["node"], own["address"], own["error"]) == ("unit", "127.0.0.2", None)
    assert (service["node"], service["address"], service["error"]) == (None, "127.0.0.1", None)
    for call in (own, service):
        assert call["call"]["answered"] == "unit"
        assert call["call"]["frames"] > 50


def test_one_that_is_not_there_is_named_and_the_others_are_told(
    there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["probe", "--fleet", fleet(there, "unit", "gone"), "--insecure", "--timeout", "20"]
    assert main(arguments) == 3
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["CALLED", "unit", "gone", "service"]
    assert re.search(r"^gone at 127\.0\.0\.3 +FAILED", out, re.MULTILINE)
    assert err.startswith("edgectl: error: 1 of 3 calls failed: gone at 127.0.0.3: ")


def test_another_node_in_its_place_is_a_failure(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["probe", "--fleet", fleet(there, "else"), "--insecure", "--timeout", "20"]
    assert main(arguments) == 1
    assert (
        "else at 127.0.0.2: unit answered; service at 127.0.0.1: unit answered, which is not of this fleet"
        in (capsys.readouterr().err)
    )


def test_a_certificate_that_nobody_vouches_for(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "--fleet", fleet(there, "unit"), "--no-service"]) == 5
    assert "unit at 127.0.0.2: " in capsys.readouterr().err
