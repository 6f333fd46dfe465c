"""No connection ID twice: not from one worker, not from two, not after the counter has gone round."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cid import (
    CidConfig,
    CidConfigError,
    CidIssuer,
    CidRing,
    NonceExhausted,
    UnroutableCid,
    UnroutableIssuer,
    decode,
    profile_aws,
    profile_edge,
)
from edge.cid.issuer import NonceCounter

KEY = bytes(range(16))
SECRET = bytes(range(32, 48))
EDGE = profile_edge(0, KEY)
NODE = b"node-one"


@given(start=st.integers(0, 2**70), lanes=st.integers(1, 256), data=st.data())
def test_a_lane_gives_each_of_its_nonces_once_and_then_refuses(
    start: int, lanes: int, data: st.DataObject
) -> None:
    """A one-byte nonce, so that the whole lane fits in a test; start anywhere, also beyond the space."""
    lane = data.draw(st.integers(0, lanes - 1))
    counter = NonceCounter(1, start=start, lane=lane, lanes=lanes)
    issued = [counter.next()[0] for _ in range(256 // lanes)]
    assert sorted(issued) == [lane + lanes * position for position in range(256 // lanes)]
    assert counter.remaining == 0
    for _ in range(2):
        with pytest.raises(NonceExhausted):
            counter.next()


@given(starts=st.lists(st.integers(0, 2**64), min_size=3, max_size=3))
def test_workers_share_no_nonce_wherever_they_start(starts: list[int]) -> None:
    nonces = [
        decode([EDGE], cid).nonce
        for worker, start in enumerate(starts)
        for issuer in [CidIssuer(EDGE, NODE, worker, nonce_start=start, lanes=3)]
        for cid in [issuer.issue() for _ in range(20)]
    ]
    assert len(set(nonces)) == len(nonces)


@pytest.mark.parametrize("gap_ns", [1_000 * 256, 2**56])
def test_a_later_life_started_by_the_clock_repeats_nothing(gap_ns: int) -> None:
    """The worst case the module promises: a CID every `lanes` nanoseconds, then a restart at that moment;
    and a restart after more than two years, when nanoseconds counted as positions would have gone round."""
    born = 1_800_000_000_000_000_000
    first = CidIssuer(EDGE, NODE, 7, nonce_start=born)
    second = CidIssuer(EDGE, NODE, 7, nonce_start=born + gap_ns)
    assert {first.issue() for _ in range(1_000)}.isdisjoint(second.issue() for _ in range(1_000))


def test_issued_cids_name_their_node_and_worker() -> None:
    decoded = CidRing([EDGE]).decode(CidIssuer(EDGE, NODE, 5, nonce_start=99).issue())
    assert (decoded.server_id, decoded.worker) == (NODE, 5)


def test_remaining_counts_down_from_the_lane() -> None:
    issuer = CidIssuer(CidConfig(0, 1, 4, KEY), b"n", nonce_start=0, lanes=256)
    issuer.issue()
    assert issuer.remaining == 2**24 - 1


def test_a_worker_needs_no_octet_to_have_a_lane() -> None:
    config = CidConfig(0, 8, 7)
    issuers = [CidIssuer(config, NODE, worker, nonce_start=0, secret=SECRET) for worker in range(4)]
    cids = [issuer.issue() for issuer in issuers for _ in range(50)]
    assert len(set(cids)) == len(cids)
    assert {len(cid) for cid in cids} == {16}


def test_plaintext_nonces_do_not_look_like_a_counter() -> None:
    """Successive nonces must not be linkable: about half of their bits differ, and no byte stands still."""
    issuer = CidIssuer(profile_aws(), NODE, nonce_start=0, secret=SECRET)
    nonces = [decode([profile_aws()], issuer.issue()).nonce for _ in range(200)]
    differing = [
        (int.from_bytes(one, "big") ^ int.from_bytes(two, "big")).bit_count() for one, two in pairwise(nonces)
    ]
    assert 21 < sum(differing) / len(differing) < 27  # 24 of 48
    assert all(len({nonce[i] for nonce in nonces}) > 64 for i in range(6))


def test_low_bits_that_do_not_encode_the_length_take_every_value() -> None:
    config = replace(EDGE, encode_length=False)
    issuer = CidIssuer(config, NODE, nonce_start=0, secret=SECRET)
    assert {issuer.issue()[0] for _ in range(500)} == set(range(32))


@pytest.mark.parametrize("config", [profile_aws(), replace(EDGE, encode_length=False)])
def test_visible_choices_need_a_secret(config: CidConfig) -> None:
    with pytest.raises(CidConfigError, match="secret"):
        CidIssuer(config, NODE, nonce_start=0)


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ({"worker": 4, "lanes": 4}, "lane 4 of 4"),
        ({"worker": -1}, "lane -1"),
        ({"lanes": 257}, "of 257"),
        ({"lanes": 0}, "of 0"),
        ({"server_id": b"short"}, "server ID of 5"),
        ({"secret": b"short"}, "secret of 5"),
    ],
)
def test_refuses_what_could_collide(arguments: dict[str, object], complaint: str) -> None:
    defaults: dict[str, object] = {"config": EDGE, "server_id": NODE, "nonce_start": 0}
    with pytest.raises(CidConfigError, match=complaint):
        CidIssuer(**(defaults | arguments))  # type: ignore[arg-type]


class TestUnroutable:
    def test_marks_itself_and_describes_its_length(self) -> None:
        cid = UnroutableIssuer(secret=SECRET, cid_length=18).issue()
        assert cid[0] == 0b111 << 5 | 17
        assert CidRing([EDGE]).cid_length(cid[0]) == len(cid) == 18

    def test_nobody_decodes_it(self) -> None:
        with pytest.raises(UnroutableCid):
            decode([EDGE], UnroutableIssuer(secret=SECRET, cid_length=18).issue())

    def test_says_that_a_connection_gets_one(self) -> None:
        assert UnroutableIssuer.one_per_connection
        assert not CidIssuer.one_per_connection

    def test_worker_octet_stands_where_the_edge_profile_has_it(self) -> None:
        steered = UnroutableIssuer(9, secret=SECRET, cid_length=18)
        assert {steered.issue()[17] for _ in range(50)} == {9}

    @pytest.mark.parametrize("length", [8, 17, 18, 20])
    def test_never_repeats(self, length: int) -> None:
        issuer = UnroutableIssuer(secret=SECRET, cid_length=length)
        assert len({issuer.issue() for _ in range(500)}) == 500

    @pytest.mark.parametrize("worker, length", [(None, 7), (0, 8), (None, 21)])
    def test_refuses_too_little_entropy_and_too_many_bytes(self, worker: int | None, length: int) -> None:
        with pytest.raises(CidConfigError, match=f"of {length} bytes"):
            UnroutableIssuer(worker, secret=SECRET, cid_length=length)
