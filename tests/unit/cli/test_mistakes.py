"""What people type wrong: one line that says what to do, and whose move it is, before anybody else is asked."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from edge.cli import main

FLEET = (
    "fleet init --yes --name voice --service 192.0.2.1 --local-as 64601 --audience voice.example"
    " --node ams-1,198.51.100.11 --upstream ams,198.51.100.1,64500 fleet.toml"
)
MISTAKES = [
    ("status --timeout nan", 2, "'nan' is not a number"),
    ("call 192.0.2.1 --interrupt-at inf", 2, "'inf' is not a number"),
    ("call 192.0.2.1 --server-name bücher.example", 2, "write it as it is in certificates (xn--...)"),
    ("call bücher.example", 2, "write it as it is in certificates (xn--...)"),
    ("call 192.0.2.1 --token @long", 2, "long: is no token"),
    ("completion", 2, "Missing argument '{bash|zsh|fish}'. Choose from: bash, zsh, fish"),
    ("upgrade --wheelhouse nowhere", 2, "a wheelhouse has wheels and that file"),
    ("upgrade 0.1.0;reboot", 2, "write it like 0.1.0"),
    ("rollback ../0.1.0", 2, "write it like 0.1.0"),
    ("probe ./some.sock", 2, "some.sock: say its name in the fleet"),
    ("status ./some.sock", 5, "error: some.sock: no node is running here"),
    ("keys new nowhere/ring.toml", 2, "it is written in its own folder, which has to be there"),
    ("lab up --topology binary", 2, "binary: is not TOML"),
    ("lab up --topology empty", 2, "empty: $: Object missing required field `nodes`"),
    ("rules verify moon", 2, "write it like http://127.0.0.1:9090"),
    ("rules verify file:///etc/hostname", 2, "write it like http://127.0.0.1:9090"),
    ("rules export empty/rules", 2, "choose another folder"),
    ("report ./some.sock --out nowhere/report.html", 2, "choose another place"),
    ("token sign --key list --audience voice.example", 2, "has to be an object with a list 'keys'"),
    ("token check --keys list --audience voice.example", 2, "has to be an object with a list 'keys'"),
    ("doctor ./some.sock --config nowhere", 2, "name it with --config"),
]


@pytest.mark.parametrize("typed, code, said", MISTAKES, ids=[typed for typed, _, _ in MISTAKES])
def test_a_mistake_is_told_in_one_line(
    typed: str,
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "list").write_text("[1]")
    (tmp_path / "long").write_text("x" * 100_000)
    assert main(FLEET.split()) == 0
    capsys.readouterr()
    assert main(shlex.split(typed)) == code
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
