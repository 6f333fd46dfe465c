"""What operators leave at a node, over restarts and with files that are spoiled."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.errors import EdgeError, RefusedError, UsageError
from edge.runtime.desk import Desk
from edge.runtime.lease import LeaseRelease, LeaseRequest
from edge.runtime.operation import LIMIT

NOON = 1_790_000_000.0
ALICE = LeaseRequest("alice", "upgrade to 0.2.0", 60.0)
UPGRADE: dict[str, Any] = {
    "id": "up-1",
    "kind": "upgrade",
    "who": "alice",
    "started_at": NOON,
    "nodes": ["ams-1", {"name": "fra-1", "state": "planned"}],
    "from": "0.1.0",
    "to": "0.2.0",
    "step": "soak ams-1",
    "state": "running",
    "reason": "",
    "batch": 1,
}


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def desk(directory: Path, clock: Clock) -> Desk:
    numbers = itertools.count()
    return Desk("ams-1", directory, clock=clock, token=lambda: f"secret-{clock.now:.0f}-{next(numbers)}")


def taken(at: Desk) -> str:
    token = at.take(ALICE).token
    assert isinstance(token, str)
    return token


def test_a_lease_outlives_the_node_and_its_token_is_nowhere_on_disk(tmp_path: Path, clock: Clock) -> None:
    token = taken(desk(tmp_path, clock))
    clock.now += 30
    after = desk(tmp_path, clock)
    holder = after.holder()
    assert holder is not None
    assert (holder.who, holder.until) == ("alice", NOON + 60)
    after.check(token, force=False)
    with pytest.raises(RefusedError, match="alice has the lease"):
        after.check(None, force=False)
    assert all(token.encode() not in path.read_bytes() for path in tmp_path.iterdir())
    assert msgspec.json.decode(msgspec.json.encode(after.lease())).keys() == {
        "apiVersion",
        "kind",
        "node",
        "holder",
    }


def test_it_is_given_back_by_who_has_it_alone(tmp_path: Path, clock: Clock) -> None:
    here = desk(tmp_path, clock)
    token = taken(here)
    with pytest.raises(RefusedError, match="alice has the lease"):
        here.release(LeaseRelease("another"))
    assert here.release(LeaseRelease(token)).holder is None
    assert here.release(LeaseRelease(token)).holder is None
    assert desk(tmp_path, clock).holder() is None
    here.check(None, force=False)


def test_force_of_who_believes_to_have_the_lease_is_not_meant_against_who_has_it(
    tmp_path: Path, clock: Clock
) -> None:
    """An upgrade says it where a node cannot see the others; its laptop may have slept meanwhile."""
    here = desk(tmp_path, clock)
    token = taken(here)
    here.check(token, force=True)
    clock.now += 600
    with pytest.raises(RefusedError, match="take it anew"):
        here.check(token, force=True)
    here.take(LeaseRequest("bob", "rollback", 60.0))
    with pytest.raises(RefusedError, match="another's now"):
        here.check(token, force=True)


def test_force_overrides_and_leaves_a_line_in_the_log(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    here = desk(tmp_path, clock)
    taken(here)
    here.check(None, force=True)
    assert "event=lease_overridden" in caplog.text
    assert "alice has the lease" in caplog.text


def test_a_lease_that_cannot_be_kept_is_none(tmp_path: Path, clock: Clock) -> None:
    here = desk(tmp_path / "not there", clock)
    with pytest.raises(EdgeError, match="cannot keep the lease"):
        here.take(ALICE)
    assert here.holder() is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"who": 1}', b"\xff"])
def test_spoiled_files_are_none(
    tmp_path: Path, clock: Clock, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("lease.json", "operation.json"):
        (tmp_path / name).write_bytes(content)
    here = desk(tmp_path, clock)
    assert (here.holder(), here.operation()) == (None, None)
    assert caplog.text.count("event=file_not_understood") == 2
    taken(here)


def test_an_operation_whose_author_has_gone_in_the_middle_says_how_to_go_on(
    tmp_path: Path, clock: Clock
) -> None:
    here = desk(tmp_path, clock)
    token = taken(here)
    shown = here.note(msgspec.json.encode(UPGRADE), token).operation
    assert shown == {**UPGRADE, "interrupted": False, "advice": ""}
    clock.now += 61
    shown = desk(tmp_path, clock).operation()
    assert shown is not None
    assert shown["interrupted"]
    assert shown["advice"] == (
        "the upgrade that alice began was interrupted at: soak ams-1; go on with: edgectl upgrade --resume"
    )
    # Somebody else's lease does not make it go on; its author's does.
    bobs = here.take(LeaseRequest("bob", "drain fra-1", 60.0)).token
    assert here.operation() == shown
    assert isinstance(bobs, str)
    here.note(msgspec.json.encode({**UPGRADE, "who": "bob"}), bobs)
    assert (here.operation() or {})["interrupted"] is False


@pytest.mark.parametrize("state", ["planned", "failed", "done"])
def test_one_that_is_not_running_is_not_interrupted(tmp_path: Path, clock: Clock, state: str) -> None:
    here = desk(tmp_path, clock)
    here.note(msgspec.json.encode({**UPGRADE, "state": state}), taken(here))
    clock.now += 1000
    assert (here.operation() or {})["interrupted"] is False


def test_only_who_has_the_lease_may_note_and_take_away(tmp_path: Path, clock: Clock) -> None:
    here = desk(tmp_path, clock)
    body = msgspec.json.encode(UPGRADE)
    with pytest.raises(RefusedError, match="must have the lease"):
        here.note(body, None)
    token = taken(here)
    with pytest.raises(RefusedError, match="alice has the lease"):
        here.note(body, None)
    here.note(body, token)
    assert here.note(b"null", token).operation is None
    assert here.note(body, token).operation is not None
    assert here.note(b"", token).operation is None
    assert desk(tmp_path, clock).operation() is None


@pytest.mark.parametrize(
    "body,says",
    [
        (b"{", "truncated"),
        (b"[]", "object"),
        (msgspec.json.encode({**UPGRADE, "state": "lost"}), "state"),
        (msgspec.json.encode({key: value for key, value in UPGRADE.items() if key != "to"}), "to"),
        (msgspec.json.encode({**UPGRADE, "more": "x" * LIMIT}), "at most 16384 bytes"),
    ],
)
def test_what_is_no_operation_is_refused(tmp_path: Path, clock: Clock, body: bytes, says: str) -> None:
    here = desk(tmp_path, clock)
    with pytest.raises(UsageError, match=says):
        here.note(body, taken(here))
    assert here.operation() is None
