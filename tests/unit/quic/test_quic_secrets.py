"""What a worker makes with the fleet's keys, while the ring changes under it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from edge.keys import KeyRing
from edge.quic.secrets import CidProfile, Secrets

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.mark.parametrize("profile", ["edge", "aws-nlb"])
def test_no_connection_id_comes_again_when_a_wrong_file_was_there_for_a_while(profile: CidProfile) -> None:
    """Two callers would have one connection ID, and one of them the other's packets."""
    right, wrong = KeyRing.new(bytes(range(32)), NOW), KeyRing.new(bytes(32), NOW)
    secrets = Secrets(right, server_id=bytes(8), nonce_start=7, profile=profile)
    issued = []
    for ring in (right, wrong, right, wrong, right):
        secrets.set_keys(ring)
        issued += [secrets.issue() for _ in range(3)]
    assert len(set(issued)) == len(issued)
