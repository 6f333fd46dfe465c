"""The draft's own numbers (quic-lb.ORIGIN.md says which, and what was corrected)."""

import json
from pathlib import Path
from typing import Any

import pytest

from edge.cid import CidConfig, DecodedCid, decode, encode, profile_aws

ROWS = json.loads(Path(__file__).with_name("quic-lb.json").read_text())


def config_of(row: dict[str, Any], rotation: int) -> CidConfig:
    key = bytes.fromhex(row["key"]) if row["key"] else None
    return CidConfig(rotation, len(row["sid"]) // 2, len(row["nonce"]) // 2, key)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["cid"])
def test_encodes_and_decodes_as_published(row: dict[str, Any]) -> None:
    config = config_of(row, row["cr"])
    server_id, nonce, cid = (bytes.fromhex(row[name]) for name in ("sid", "nonce", "cid"))
    assert encode(config, server_id, nonce) == cid
    assert decode([config], cid) == DecodedCid(row["cr"], server_id, nonce, worker=0)


@pytest.mark.parametrize("row", [row for row in ROWS if "draft_cid" in row], ids=lambda row: row["draft_cid"])
def test_misprinted_first_octet_is_rotation_0_of_the_same_block(row: dict[str, Any]) -> None:
    decoded = decode([config_of(row, rotation=0)], bytes.fromhex(row["draft_cid"]))
    assert (decoded.server_id.hex(), decoded.nonce.hex()) == (row["sid"], row["nonce"])


def test_aws_profile_shows_quic_server_id_behind_0f() -> None:
    """AWS documents QuicServerId as the 8 bytes after the first octet of a plaintext CID of rotation 0."""
    server_id = bytes.fromhex("1122334455667788")
    cid = encode(profile_aws(), server_id, bytes(6))
    assert (cid[:9].hex(), len(cid)) == ("0f1122334455667788", 16)
