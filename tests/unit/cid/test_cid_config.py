"""What QUIC-LB allows a configuration to be."""

import pytest

from edge.cid import Algorithm, CidConfig, CidConfigError, profile_aws, profile_edge
from edge.errors import UsageError

KEY = bytes(range(16))


@pytest.mark.parametrize(
    "key, lengths, algorithm",
    [
        (None, (8, 8), Algorithm.PLAINTEXT),
        (KEY, (8, 8), Algorithm.SINGLE_PASS),
        (KEY, (1, 15), Algorithm.SINGLE_PASS),
        (KEY, (12, 4), Algorithm.SINGLE_PASS),
        (KEY, (8, 7), Algorithm.FOUR_PASS),
        (KEY, (8, 9), Algorithm.FOUR_PASS),
    ],
)
def test_algorithm_follows_from_key_and_lengths(
    key: bytes | None, lengths: tuple[int, int], algorithm: Algorithm
) -> None:
    assert CidConfig(0, *lengths, key).algorithm is algorithm


@pytest.mark.parametrize(
    "fields, complaint",
    [
        ({"rotation": -1}, "rotation -1"),
        ({"rotation": 7}, "rotation 7"),
        ({"server_id_length": 0}, "server ID of 0 bytes"),
        ({"nonce_length": 3}, "nonce of 3 bytes"),
        ({"server_id_length": 10, "nonce_length": 10}, "connection ID of 21 bytes"),
        ({"server_id_length": 10, "nonce_length": 9, "worker_octet": True}, "connection ID of 21 bytes"),
        ({"key": bytes(32)}, "key of 32 bytes"),
        ({"key": b""}, "key of 0 bytes"),
    ],
)
def test_refuses_what_the_draft_does_not_allow(fields: dict[str, object], complaint: str) -> None:
    legal = {"rotation": 0, "server_id_length": 8, "nonce_length": 8}
    with pytest.raises(CidConfigError, match=complaint) as caught:
        CidConfig(**(legal | fields))  # type: ignore[arg-type]
    assert caught.value.exit_code == UsageError.exit_code


@pytest.mark.parametrize("lengths", [(1, 4), (15, 4), (1, 18)])
def test_accepts_the_extremes(lengths: tuple[int, int]) -> None:
    assert CidConfig(6, *lengths, KEY).cid_length == 1 + sum(lengths)


def test_edge_profile_is_18_bytes_single_pass() -> None:
    profile = profile_edge(3, KEY)
    assert (profile.rotation, profile.cid_length) == (3, 18)
    assert profile.algorithm is Algorithm.SINGLE_PASS


def test_aws_profile_is_exactly_16_bytes_plaintext_rotation_0() -> None:
    profile = profile_aws()
    assert (profile.rotation, profile.cid_length, profile.server_id_length) == (0, 16, 8)
    assert profile.algorithm is Algorithm.PLAINTEXT


def test_a_printed_configuration_does_not_show_its_key() -> None:
    assert repr(KEY) not in repr(profile_edge(0, KEY))
    assert "key" not in repr(profile_edge(0, KEY))
