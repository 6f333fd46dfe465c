"""edgectl token: keys and tokens that nodes take, and mistakes that are told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge.auth import TokenKeys, Unauthorized
from edge.cli.token import token
from edge.errors import UsageError


def run(*arguments: str, stdin: str = "") -> str:
    result = CliRunner().invoke(token, arguments, input=stdin, catch_exceptions=False, standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.stdout


def made(tmp_path: Path, *arguments: str) -> Path:
    path = tmp_path / f"{arguments[1]}.jwks"
    path.write_text(run("key", *arguments))
    return path


def test_a_shared_key_signs_what_a_node_with_the_same_file_takes(tmp_path: Path) -> None:
    keys = made(tmp_path, "--kid", "2026-11")
    signed = run(
        "sign", "--key", str(keys), "--audience", "voice", "--calls", "2", "--backend", "demo"
    ).strip()
    claims = TokenKeys(keys.read_text(), "voice").read(signed)
    assert (claims.calls, claims.backend) == (2, "demo")
    told = json.loads(run("check", "--keys", str(keys), "--audience", "voice", stdin=signed + "\n"))
    assert told == claims.all
    assert "sub" not in told


def test_nodes_get_no_private_key_and_cannot_sign_with_what_they_get(tmp_path: Path) -> None:
    private = tmp_path / "private.jwks"
    public = made(tmp_path, "--kid", "k", "--algorithm", "EdDSA", "--private", str(private))
    assert private.stat().st_mode & 0o077 == 0
    secret = json.loads(private.read_text())["keys"][0]["d"]
    assert secret not in public.read_text()
    signed = run("sign", "--key", str(private), "--audience", "voice").strip()
    TokenKeys(public.read_text(), "voice").read(signed)
    with pytest.raises(UsageError, match="is a public key"):
        run("sign", "--key", str(public), "--audience", "voice")
    with pytest.raises(UsageError, match="File exists"):
        made(tmp_path, "--kid", "k", "--algorithm", "EdDSA", "--private", str(private))
    assert json.loads(private.read_text())["keys"][0]["d"] == secret


def test_of_two_keys_the_last_signs_and_tokens_of_both_are_good(tmp_path: Path) -> None:
    old, new = (json.loads(made(tmp_path, "--kid", kid).read_text())["keys"] for kid in ("old", "new"))
    both = tmp_path / "both.jwks"
    both.write_text(json.dumps({"keys": old + new}))
    node = TokenKeys(both.read_text(), "voice")
    node.read(run("sign", "--key", str(both), "--kid", "old", "--audience", "voice").strip())
    latest = run("sign", "--key", str(both), "--audience", "voice").strip()
    node.read(latest)
    with pytest.raises(Unauthorized, match="kid"):
        TokenKeys((tmp_path / "old.jwks").read_text(), "voice").read(latest)
    with pytest.raises(UsageError, match="has no key 'gone'; it has old, new"):
        run("sign", "--key", str(both), "--kid", "gone", "--audience", "voice")


def test_what_a_node_would_refuse_is_refused_here_for_the_same_reason(tmp_path: Path) -> None:
    keys = made(tmp_path, "--kid", "k")
    signed = run("sign", "--key", str(keys), "--audience", "mail").strip()
    with pytest.raises(Unauthorized, match=r"audience \(aud\) is not 'voice'"):
        run("check", "--keys", str(keys), "--audience", "voice", stdin=signed)


@pytest.mark.parametrize("content, why", [(None, "No such file"), ("{}", "not a JSON Web Key Set")])
def test_a_key_file_that_cannot_be_used_is_named(tmp_path: Path, content: str | None, why: str) -> None:
    path = tmp_path / "keys.jwks"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=f"keys.jwks.*{why}"):
        run("sign", "--key", str(path), "--audience", "voice")
