"""edge.keys: a ring, its steps, its file, and keys that have nothing to do with each other."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.keys import Generation, KeyRing, KeyRingError, Purpose, parse, render

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def secret(number: int = 0) -> bytes:
    return bytes([number]) * 32


def test_a_rotation() -> None:
    ring = KeyRing.new(secret(0), NOW)
    added = ring.add(secret(1), NOW)
    assert (added.issue, [one.number for one in added]) == (0, [0, 1])
    used = added.use(1)
    assert used.issuing.secret == secret(1)
    dropped = used.drop(0)
    assert [one.number for one in dropped] == [1]
    assert [one.version for one in (ring, added, used, dropped)] == [1, 2, 3, 4]
    # A number comes back only when all others have had their turn: what was made with it is long gone.
    numbers = []
    for number in count(2):
        dropped = dropped.add(secret(number), NOW)
        dropped = dropped.use(dropped.generations[-1].number).drop(dropped.generations[0].number)
        numbers.append(dropped.issue)
        if len(numbers) == 7:
            break
    assert numbers == [2, 3, 4, 5, 6, 0, 1]


def test_what_no_ring_can_be() -> None:
    ring = KeyRing.new(secret(), NOW)
    with pytest.raises(KeyRingError, match="in use"):
        ring.drop(0)
    with pytest.raises(KeyRingError, match="there is no 3"):
        ring.drop(3)
    with pytest.raises(KeyRingError, match="no generation 3"):
        ring.use(3)
    for number in range(1, 7):
        ring = ring.add(secret(number), NOW)
    with pytest.raises(KeyRingError, match="7 already"):
        ring.add(secret(9), NOW)
    with pytest.raises(KeyRingError, match="same number"):
        KeyRing(1, 0, (Generation(0, secret(), NOW), Generation(0, secret(1), NOW)))
    with pytest.raises(KeyRingError, match="time zone"):
        Generation(0, secret(), NOW.replace(tzinfo=None))
    with pytest.raises(KeyRingError, match="16 bytes instead of 32"):
        Generation(0, bytes(16), NOW)


def test_every_purpose_every_owner_and_every_generation_has_a_key_of_its_own() -> None:
    ring = KeyRing.new(secret(0), NOW).add(secret(1), NOW)
    keys = [one.key(purpose, whose) for one in ring for purpose in Purpose for whose in (b"", b"a", b"b")]
    # Nor is one the beginning of another.
    assert len({key[:8] for key in keys}) == len(keys)
    assert ring.issuing.key(Purpose.CID) == KeyRing.new(secret(0), NOW).issuing.key(Purpose.CID)


def test_keys_do_not_change_from_one_release_to_the_next() -> None:
    """Golden: a fleet is upgraded node by node."""
    generation = Generation(0, bytes(range(32)), NOW)
    assert generation.key(Purpose.CID).hex() == GOLDEN["cid"]
    assert generation.key(Purpose.FORWARD, b"edge-one").hex() == GOLDEN["forward"]


GOLDEN = {
    "cid": "f7f58cd92abb3c4973de9cf0ee18d22c",
    "forward": "ade51e6fa545bd2419096d0e686e9e23e959034c6dae74d13de960aa127d08f0",
}


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=7), st.data())
def test_a_file_says_all_of_it(secrets: list[bytes], data: st.DataObject) -> None:
    ring = KeyRing.new(secrets[0], NOW)
    for one in secrets[1:]:
        ring = ring.add(one, NOW)
    ring = ring.use(data.draw(st.sampled_from([one.number for one in ring])))
    assert parse(render(ring)) == ring


@pytest.mark.parametrize(
    "text, says",
    [
        ("x", "not TOML"),
        ("version = 1", "missing required field"),
        ("version = 1\nissue = 0\ngenerations = []", "no generation 0"),
        ("version = 1\nissue = 0\nsecret = 1\ngenerations = []", "unknown field"),
        (
            render(KeyRing.new(secret(7), NOW)).replace("BwcHB", "!!!!!"),
            "base64",
        ),
        (render(KeyRing.new(secret(7), NOW)).replace("number = 0", "number = 7"), "7 is not 0 to 6"),
    ],
)
def test_what_is_no_ring_is_said_without_a_secret(text: str, says: str) -> None:
    with pytest.raises(KeyRingError, match=says) as raised:
        parse(text)
    assert "BwcH" not in str(raised.value)


def test_a_ring_does_not_show_its_secrets() -> None:
    ring = KeyRing.new(b"S" * 32, NOW)
    assert "SSSS" not in repr(ring)
