"""Connection IDs there and back, and what happens to bytes that are none."""

import contextlib
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge.cid import (
    CidCodec,
    CidConfig,
    CidConfigError,
    CidError,
    CidRing,
    DecodedCid,
    MalformedCid,
    UnroutableCid,
    decode,
    encode,
    profile_aws,
    profile_edge,
)

KEY = bytes(range(16))
OTHER_KEY = bytes(range(16, 32))
ANY_BYTES = st.binary(max_size=24)


@st.composite
def configs(draw: st.DrawFn) -> CidConfig:
    """Every legal configuration."""
    worker_octet = draw(st.booleans())
    room = 19 - worker_octet
    server_id_length = draw(st.integers(1, room - 4))
    return CidConfig(
        rotation=draw(st.integers(0, 6)),
        server_id_length=server_id_length,
        nonce_length=draw(st.integers(4, room - server_id_length)),
        key=draw(st.none() | st.binary(min_size=16, max_size=16)),
        encode_length=draw(st.booleans()),
        worker_octet=worker_octet,
    )


@given(data=st.data(), config=configs())
def test_round_trip(data: st.DataObject, config: CidConfig) -> None:
    server_id = data.draw(st.binary(min_size=config.server_id_length, max_size=config.server_id_length))
    nonce = data.draw(st.binary(min_size=config.nonce_length, max_size=config.nonce_length))
    worker = data.draw(st.integers(0, 255 if config.worker_octet else 0))
    low_bits = data.draw(st.integers(0, 255))
    cid = encode(config, server_id, nonce, worker, low_bits=low_bits)
    assert len(cid) == config.cid_length <= 20
    assert cid[0] >> 5 == config.rotation
    assert cid[0] & 31 == (len(cid) - 1 if config.encode_length else low_bits & 31)
    assert decode([config], cid) == DecodedCid(config.rotation, server_id, nonce, worker)
    assert CidRing([config]).cid_length(cid[0]) == len(cid)


@given(config=configs(), data=st.data())
def test_distinct_nonces_give_distinct_cids(config: CidConfig, data: st.DataObject) -> None:
    codec = CidCodec(config)
    nonces = data.draw(
        st.lists(
            st.binary(min_size=config.nonce_length, max_size=config.nonce_length),
            min_size=2,
            max_size=8,
            unique=True,
        )
    )
    server_id = bytes(config.server_id_length)
    assert len({codec.encode(server_id, nonce) for nonce in nonces}) == len(nonces)


@given(live=st.lists(configs(), max_size=7, unique_by=lambda config: config.rotation), cid=ANY_BYTES)
def test_garbage_is_a_cid_error_or_fits_its_configuration(live: list[CidConfig], cid: bytes) -> None:
    ring = CidRing(live)
    try:
        decoded = ring.decode(cid)
    except CidError:
        assert ring.owner(cid) is None
    else:
        (config,) = (config for config in live if config.rotation == decoded.rotation)
        assert len(cid) == config.cid_length
        assert ring.owner(cid) == decoded.server_id
    for first in cid[:1]:
        with contextlib.suppress(CidError):
            assert 1 <= ring.cid_length(first) <= 20


@given(config=configs(), cid=ANY_BYTES)
def test_wrong_length_never_decodes(config: CidConfig, cid: bytes) -> None:
    assume(len(cid) not in (0, config.cid_length))
    forged = bytes([config.rotation << 5 | cid[0] & 31]) + cid[1:]
    with pytest.raises(MalformedCid):
        decode([config], forged)


def test_worker_octet_is_clear_and_last() -> None:
    """A socket filter reads it at byte 17 of the CID, 18 of a short-header packet."""
    config = profile_edge(2, KEY)
    one, two = (encode(config, bytes(8), bytes(8), worker) for worker in (0, 201))
    assert (one[17], two[17]) == (0, 201)
    assert one[:17] == two[:17]


def test_self_described_length_counts_the_worker_octet() -> None:
    assert encode(profile_edge(5, KEY), bytes(8), bytes(8))[0] == 5 << 5 | 17


def test_contradicting_length_octet_is_malformed() -> None:
    cid = bytearray(encode(profile_aws(), bytes(8), bytes(6)))
    cid[0] ^= 1
    with pytest.raises(MalformedCid, match="says 14 bytes follow"):
        decode([profile_aws()], bytes(cid))


def test_length_octet_means_nothing_when_it_is_not_encoded() -> None:
    config = replace(profile_aws(), encode_length=False)
    cid = encode(config, bytes(8), bytes(6), low_bits=0b10101)
    assert cid[0] == 0b10101
    assert decode([config], cid).server_id == bytes(8)


def test_ring_tells_configurations_apart_by_rotation() -> None:
    """Old key, new key and another profile live side by side; each cid is read with its own."""
    old, new, aws = profile_edge(1, KEY), profile_edge(2, OTHER_KEY), profile_aws()
    ring = CidRing([old, new, aws])
    for config, server_id in ((old, b"old-node"), (new, b"new-node"), (aws, b"aws-node")):
        cid = encode(config, server_id, bytes(config.nonce_length))
        assert ring.owner(cid) == server_id
        assert ring.cid_length(cid[0]) == config.cid_length


def test_a_retired_key_does_not_reveal_the_owner() -> None:
    cid = encode(profile_edge(1, KEY), b"the-node", bytes(8))
    assert CidRing([profile_edge(1, OTHER_KEY)]).owner(cid) != b"the-node"


@pytest.mark.parametrize(
    "cid, complaint",
    [
        (b"", "empty"),
        (bytes([0b111 << 5 | 17]) + bytes(17), "rotation 7"),
        (bytes([3 << 5 | 17]) + bytes(17), "rotation 3"),
    ],
    ids=["empty", "codepoint-111", "nobody-configured-it"],
)
def test_unroutable(cid: bytes, complaint: str) -> None:
    with pytest.raises(UnroutableCid, match=complaint):
        decode([profile_edge(0, KEY)], cid)


def test_short_header_lengths_of_unroutable_cids_describe_themselves() -> None:
    ring = CidRing([])
    assert ring.cid_length(0b111 << 5 | 7) == 8
    with pytest.raises(MalformedCid, match="32 bytes"):
        ring.cid_length(0xFF)
    with pytest.raises(UnroutableCid):
        ring.cid_length(0x00)


def test_two_configurations_at_one_codepoint_are_refused() -> None:
    with pytest.raises(CidConfigError, match="rotation 4: two"):
        CidRing([profile_edge(4, KEY), profile_edge(4, OTHER_KEY)])


@pytest.mark.parametrize(
    "server_id, nonce, worker, complaint",
    [
        (bytes(7), bytes(8), 0, "server ID of 7"),
        (bytes(9), bytes(8), 0, "server ID of 9"),
        (bytes(8), bytes(7), 0, "nonce of 7"),
        (bytes(8), bytes(8), 256, "worker 256"),
        (bytes(8), bytes(8), -1, "worker -1"),
    ],
)
def test_encode_refuses_values_that_do_not_fit(
    server_id: bytes, nonce: bytes, worker: int, complaint: str
) -> None:
    with pytest.raises(CidConfigError, match=complaint):
        encode(profile_edge(0, KEY), server_id, nonce, worker)


def test_encode_refuses_a_worker_where_no_octet_can_carry_it() -> None:
    with pytest.raises(CidConfigError, match="worker 1"):
        encode(CidConfig(0, 8, 7), bytes(8), bytes(7), worker=1)
