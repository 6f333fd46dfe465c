"""A bundle of a node that has secrets in every place where one could be: none of them is in it."""

from __future__ import annotations

import base64
import copy
import io
import json
import secrets
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from node_documents import AT, EXPLANATION, PEERS, STATUS
from node_rig import certify

from edge.config import NodeConfig, parse_config
from edge.config.key_file import write_ring
from edge.doctor import Finding, Verdict
from edge.errors import UnreachableError
from edge.keys import SECRET_BYTES, KeyRing
from edge.support import Bundle, Source, packed
from edge.support.scrub import REDACTED

MD5 = 'pa"ss\\wörd 7'
API_KEY = "sk-live-0123456789abcdef"
INLINE = "hunter2hunter2"
CALLER, CALLER_V6 = "203.0.113.77", "2001:db8:77::5"

NODE = f"""
# the old password was {INLINE}
[node]
name = "ams-1"
site = "ams"
server_id = "00000000000000a1"
[service]
addresses = ["192.0.2.1"]
[unicast]
addresses = ["198.51.100.11"]
[tls]
certificate = "cert.pem"
private_key = "key.pem"
[keys]
file = "ring.toml"
[auth]
mode = "token"
keys_file = "tokens.jwks"
audience = "voice.example"
[voice]
backend = "openai"
[backends.openai]
url = "wss://bob:{INLINE}@backend.example/v1"
api_key = "{INLINE}"
api_key_file = "api.key"
headers = {{ authorization = "{INLINE}" }}
deep = ["{INLINE}"]
retries = 3
[bgp]
router_id = "198.51.100.11"
local_as = 64601
prefixes = ["192.0.2.0/24"]
[[bgp.neighbors]]
address = "198.51.100.1"
local_address = "198.51.100.11"
peer_as = 64500
md5_file = "md5.key"
"""


class Planted:
    """A configuration with all its secrets in ``directory``, and everything that a node could say with them in it."""

    def __init__(self, directory: Path) -> None:
        certify(directory)
        ring_secret = secrets.token_bytes(SECRET_BYTES)
        write_ring(directory / "ring.toml", KeyRing.new(ring_secret, datetime(2026, 9, 1, tzinfo=UTC)))
        token_key = secrets.token_bytes(32)
        jwk = {
            "kty": "oct",
            "kid": "a",
            "alg": "HS256",
            "k": base64.urlsafe_b64encode(token_key).decode().rstrip("="),
        }
        (directory / "tokens.jwks").write_text(json.dumps({"keys": [jwk]}))
        (directory / "api.key").write_text(API_KEY + "\n")
        (directory / "md5.key").write_text(MD5 + "\n")
        self.config: NodeConfig = parse_config(NODE, directory)
        pem = (directory / "key.pem").read_text()
        self.forms = [
            MD5,
            json.dumps(MD5)[1:-1],
            API_KEY,
            ring_secret.hex(),
            base64.b64encode(ring_secret).decode(),
            token_key.hex(),
            jwk["k"],
            pem,
            pem.splitlines()[1],
        ]
        self.said = " | ".join(
            [*self.forms, f"api_key={INLINE}", f"seen from {CALLER}:4433 and [{CALLER_V6}]:4433"]
        )

    def ask(self, target: str) -> Any:
        """All of it in every field that holds words, and in fields that nobody knows."""
        match target:
            case "/status":
                status = copy.deepcopy(STATUS)
                hold = {"reason": self.said, "who": self.said, "since": AT, "kind": "withdraw"}
                return status | {
                    "reason": self.said,
                    "hold": hold,
                    "problems": [self.said],
                    "unheard_of": INLINE,
                }
            case "/explain":
                return copy.deepcopy(EXPLANATION) | {"reason": self.said, "unheard_of": INLINE}
            case "/bgp/peers":
                peers = copy.deepcopy(PEERS)
                peers["peers"][0] |= {"last_reason": self.said, "unheard_of": INLINE}
                return peers
            case "/metrics":
                return f'edge_route_state{{prefix="{self.said}"}} 1\n'
            case "/config":
                return NODE
        raise UnreachableError(f"{target}: no answer: {self.said}")


@pytest.fixture
def planted(tmp_path: Path) -> Planted:
    return Planted(tmp_path)


@pytest.fixture
def journalctl(tmp_path: Path, planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that prints the same into the journal."""
    (tmp_path / "journal").write_text(f"2026-11-21T10:02:11 edgectl[7]: event=x {planted.said}\n")
    program = tmp_path / "bin" / "journalctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec cat "{tmp_path}/journal"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def bundle(planted: Planted, *, with_addresses: bool = False) -> Bundle:
    findings = (Finding("BGP sessions", Verdict.FAIL, planted.said, planted.said),)
    source = Source(
        config=planted.config, ask=planted.ask, findings=findings, unit="edge", with_addresses=with_addresses
    )
    return Bundle.of(source, AT)


@pytest.mark.usefixtures("journalctl")
def test_no_planted_secret_is_in_it_however_it_was_written(planted: Planted) -> None:
    made = bundle(planted)
    everything = "\n".join(made.files.values())
    for form in planted.forms:
        assert form not in everything
    assert INLINE not in everything
    assert CALLER not in everything
    assert CALLER_V6 not in everything
    assert set(made.files) == {
        "status.json",
        "explain.json",
        "bgp-peers.json",
        "metrics.txt",
        "config.json",
        "doctor.json",
        "versions.json",
        "journal.txt",
        "manifest.json",
    }
    # Each of them was there to be found: what is tested is the scrubber, and not what the test left out.
    for name in made.files.keys() - {"config.json", "versions.json", "manifest.json"}:
        assert REDACTED in made.files[name], name
        assert "[address-1]" in made.files[name], name
    manifest = json.loads(made.files["manifest.json"])
    assert set(manifest["missing"]) == {"bgp-routes.json", "drain.json"}
    assert manifest["secret_files_not_read"] == []
    assert (
        manifest["addresses_renamed"] == 4
    )  # the caller's two, and what this configuration does not know of


@pytest.mark.usefixtures("journalctl")
def test_what_is_of_use_is_left(planted: Planted) -> None:
    made = bundle(planted)
    config = json.loads(made.files["config.json"])
    assert config["node"]["name"] == "ams-1"
    assert config["bgp"]["neighbors"][0]["md5_file"] == "md5.key"
    assert config["backends"]["openai"] == {
        "url": REDACTED,
        "api_key": REDACTED,
        "api_key_file": "api.key",
        "headers": REDACTED,
        "deep": REDACTED,
        "retries": 3,
    }
    status = json.loads(made.files["status.json"])
    assert (status["calls"], status["pressures"], status["workers"]) == (
        22,
        STATUS["pressures"],
        STATUS["workers"],
    )
    peers = json.loads(made.files["bgp-peers.json"])["peers"]
    assert peers[0]["address"] == "198.51.100.1"
    assert peers[1]["address"].startswith("[address-")  # no neighbor of this configuration
    assert json.loads(made.files["versions.json"])["anycast-edge"]


@pytest.mark.usefixtures("journalctl")
def test_addresses_stay_if_that_is_asked_for_and_secrets_do_not(planted: Planted) -> None:
    everything = "\n".join(bundle(planted, with_addresses=True).files.values())
    assert CALLER in everything
    assert CALLER_V6 in everything
    assert not any(form in everything for form in planted.forms)


def test_without_a_journal_the_rest_is_packed(
    planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    made = bundle(planted)
    assert made.missing["journal.txt"] == "there is no journalctl on this machine"
    assert "status.json" in made.files


def test_it_is_packed_for_its_owner_alone_and_says_nothing_of_who_did(planted: Planted) -> None:
    with tarfile.open(fileobj=io.BytesIO(packed(Bundle({"a.txt": "wörds\n"}), "edge-ams-1", AT))) as archive:
        (member,) = archive.getmembers()
        read = archive.extractfile(member)
        assert read is not None
        assert read.read() == "wörds\n".encode()
    assert (member.name, member.mode, member.uname, member.uid) == ("edge-ams-1/a.txt", 0o600, "", 0)
