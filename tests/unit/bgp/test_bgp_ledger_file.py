"""The ledger over restarts: whole or absent, never forgotten for a clock, and the worst assumed of a damaged file."""

from __future__ import annotations

import json
import os
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgp.clocks import Clocks
from bgp.ledger import Ledger
from bgp.ledger_file import LedgerFile
from bgp.neighbor import Advertisement
from bgp.route import parse_prefix
from bgp.state_file import StateFileError

NEIGHBOR = ip_address("198.51.100.1")
PREFIX = parse_prefix("192.0.2.0/24")
DAMPING: dict[Any, Any] = {NEIGHBOR: "cisco"}
PLAIN = Advertisement(PREFIX, ip_address("198.51.100.99"), as_path=(64601,))
SAVED_AT = Clocks(boot_id="one", boottime_s=5000.0, wallclock_s=1_790_000_000.0)
HALF_LIFE_S = 900.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.json"


def flapped(times: int, *, announced: bool = False) -> Ledger:
    ledger = Ledger(DAMPING, (PREFIX,))
    for word in [PLAIN, None] * times + [PLAIN] * announced:
        ledger.heard(NEIGHBOR, PREFIX, word, 0.0)
    return ledger


def later(*, boot_id: str = "one", boottime: float = 0.0, wallclock: float = 0.0) -> Clocks:
    """So much later than ``SAVED_AT`` by each clock; after a reboot the first is the time since then."""
    since = SAVED_AT.boottime_s if boot_id == "one" else 0.0
    return Clocks(boot_id=boot_id, boottime_s=since + boottime, wallclock_s=SAVED_AT.wallclock_s + wallclock)


def load(path: Path, clocks: Clocks = SAVED_AT, now: float = 0.0) -> tuple[float, str]:
    """The penalty after a restart, and the problem."""
    ledger, problem = LedgerFile(path).load(DAMPING, (PREFIX,), clocks=clocks, now=now)
    return ledger.penalty(NEIGHBOR, PREFIX, now), problem


# --- what is kept ------------------------------------------------------------------------------------------


def test_no_file_is_a_node_that_never_announced(path: Path) -> None:
    assert load(path) == (0, "")
    assert list(path.parent.iterdir()) == []


def test_the_next_process_goes_on_counting(path: Path) -> None:
    LedgerFile(path).save(flapped(2).state(0.0), SAVED_AT)
    # The ledger's own clock begins anew in each process.
    for now in (0.0, 1e6):
        ledger, problem = LedgerFile(path).load(DAMPING, (PREFIX,), clocks=SAVED_AT, now=now)
        assert problem == ""
        (standing,) = ledger.standings(now)
        assert standing.penalty == 2000
        assert standing.reuse_in_s == pytest.approx(1273.5, abs=1)
    assert [file.name for file in path.parent.iterdir()] == ["ledger.json"]


def test_who_died_announcing_has_withdrawn(path: Path) -> None:
    LedgerFile(path).save(flapped(0, announced=True).state(0.0), SAVED_AT)
    assert load(path) == (1000, "")
    LedgerFile(path).save(flapped(1, announced=True).state(0.0), SAVED_AT)
    ledger, _ = LedgerFile(path).load(DAMPING, (PREFIX,), clocks=SAVED_AT, now=0.0)
    assert ledger.standings(0.0)[0].penalty == 2000
    assert ledger.standings(0.0)[0].reuse_in_s > 0


def test_who_stopped_in_order_has_not_withdrawn_twice(path: Path) -> None:
    LedgerFile(path).save(flapped(1).state(0.0), SAVED_AT)
    assert load(path) == (1000, "")


def test_an_announcement_after_a_restart_is_one_again(path: Path) -> None:
    """Not the first, which would be free: JunOS charges for it."""
    junos: dict[Any, Any] = {NEIGHBOR: "junos"}
    first = Ledger(junos, (PREFIX,))
    first.heard(NEIGHBOR, PREFIX, PLAIN, 0.0)
    LedgerFile(path).save(first.state(0.0), SAVED_AT)
    second, _ = LedgerFile(path).load(junos, (PREFIX,), clocks=SAVED_AT, now=0.0)
    second.heard(NEIGHBOR, PREFIX, PLAIN, 0.0)
    assert second.penalty(NEIGHBOR, PREFIX, 0.0) == 2000


def test_who_is_configured_no_longer_is_not_looked_for(path: Path) -> None:
    LedgerFile(path).save(flapped(2).state(0.0), SAVED_AT)
    ledger, problem = LedgerFile(path).load(
        {NEIGHBOR: "off", ip_address("198.51.100.7"): "cisco"}, (PREFIX,), clocks=SAVED_AT, now=0.0
    )
    assert problem == ""
    assert set(ledger.penalties(0.0).values()) == {0}


# --- clocks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "clocks, halvings",
    [
        (later(boottime=HALF_LIFE_S, wallclock=HALF_LIFE_S), 1),
        # Within a boot nobody asks the wall clock.
        (later(boottime=HALF_LIFE_S, wallclock=-1e9), 1),
        (later(boottime=HALF_LIFE_S, wallclock=1e9), 1),
        # Another machine's idea of time, as in a copied virtual machine: nothing is known to have passed.
        (later(boottime=-10.0, wallclock=1e9), 0),
        # After a reboot there is nothing else,
        (later(boot_id="two", boottime=60.0, wallclock=2 * HALF_LIFE_S), 2),
        # but what passed since then has passed whatever the wall clock says,
        (later(boot_id="two", boottime=HALF_LIFE_S, wallclock=-1e9), 1),
        # and no more is known.
        (later(boot_id="two", boottime=0.0, wallclock=-1e9), 0),
    ],
)
def test_what_time_has_taken_off(path: Path, clocks: Clocks, halvings: int) -> None:
    LedgerFile(path).save(flapped(1).state(0.0), SAVED_AT)
    penalty, _ = load(path, clocks)
    assert penalty == pytest.approx(1000 / 2**halvings)


seconds = st.floats(min_value=0, max_value=1e7)


@given(seconds, st.floats(min_value=-1e10, max_value=1e10))
def test_within_a_boot_no_step_of_the_wall_clock_counts(passed: float, step: float) -> None:
    since = later(boottime=passed, wallclock=passed + step).seconds_since(SAVED_AT)
    assert since == pytest.approx(passed, abs=1e-5)


@given(seconds, st.floats(min_value=0, max_value=1), st.floats(min_value=-1e10, max_value=0))
def test_across_boots_no_step_back_takes_off_more_than_time_did(
    passed: float, up_ratio: float, step: float
) -> None:
    up = passed * up_ratio
    since = later(boot_id="two", boottime=up, wallclock=passed + step).seconds_since(SAVED_AT)
    assert up <= since <= passed + 1e-5


def test_the_clocks_of_this_machine() -> None:
    first, second = Clocks.read(), Clocks.read()
    assert len(first.boot_id) == 36
    assert 0 <= second.seconds_since(first) < 60
    assert first.seconds_since(second) == 0


# --- damage ------------------------------------------------------------------------------------------------


def entry(**changes: object) -> dict[str, object]:
    good = {
        "neighbor": "198.51.100.1",
        "prefix": "192.0.2.0/24",
        "penalty": 1.0,
        "suppressed": False,
        "announced": False,
    }
    return good | changes


def content(*entries: dict[str, object], **changes: object) -> bytes:
    clocks = {"boot_id": "one", "boottime_s": 5000.0, "wallclock_s": 1.79e9}
    return json.dumps({"version": 1, "clocks": clocks, "entries": entries} | changes).encode()


def test_the_content_below_is_good_but_for_what_is_changed(path: Path) -> None:
    path.write_bytes(content(entry()))
    assert load(path) == (1.0, "")


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\0" * 100,
        b"\xff{",
        b'{"\x80": 1}',
        content(entry())[:-1],
        content(entry(), version=2),
        content(entry(), added="by a later version"),
        content(entry(), clocks={}),
        content(entry(penalty=-1.0)),
        content(entry(penalty=None)),
        content(entry(neighbor="198.51.100")),
        content(entry(prefix="0.0.0.0/0")),
        content({"neighbor": "198.51.100.1"}),
    ],
)
def test_a_damaged_file_is_set_aside_and_the_worst_assumed(path: Path, damaged: bytes) -> None:
    path.write_bytes(damaged)
    penalty, problem = load(path)
    assert penalty == 1500
    assert str(path) in problem
    assert "kept as ledger.json.corrupt-1" in problem
    assert path.with_name("ledger.json.corrupt-1").read_bytes() == damaged
    assert not path.exists()
    assert "\n" not in problem


@given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 20))
def test_no_damage_stops_a_node_from_starting(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int, cut: int
) -> None:
    path = tmp_path_factory.mktemp("noise") / "ledger.json"
    good = content(entry(penalty=700.0))
    path.write_bytes(good[:at] + noise + good[at + cut :])
    penalty, problem = load(path)
    assert penalty == 1500 if problem else 0 <= penalty <= 12_000


def test_each_damaged_file_is_kept(path: Path) -> None:
    for number in (1, 2, 3):
        path.write_bytes(b"%d" % number)
        assert f"corrupt-{number}" in load(path)[1]
    kept = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    assert kept == {f"ledger.json.corrupt-{number}": b"%d" % number for number in (1, 2, 3)}


def test_something_else_in_its_place_is_no_memory_either(path: Path) -> None:
    (path / "precious").mkdir(parents=True)
    penalty, problem = load(path)
    assert penalty == 1500
    assert "Is a directory" in problem
    assert (path.with_name("ledger.json.corrupt-1") / "precious").exists()


def test_what_cannot_be_set_aside_is_said_and_survived(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk that has turned read-only. (Root, who may run this, is refused nothing.)"""

    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(13, "Permission denied")

    path.write_bytes(b"?")
    monkeypatch.setattr(Path, "rename", refuse)
    penalty, problem = load(path)
    assert penalty == 1500
    assert "nor set aside (Permission denied)" in problem


def test_a_save_that_was_cut_short_is_nothing(path: Path) -> None:
    """As if the machine had lost its power in the middle of it."""
    LedgerFile(path).save(flapped(1).state(0.0), SAVED_AT)
    path.with_name("ledger.json.new").write_bytes(b'{"version": 1, "clo')
    assert load(path) == (1000, "")
    LedgerFile(path).save(flapped(2).state(0.0), SAVED_AT)
    assert load(path) == (2000, "")


def test_a_save_that_fails_says_so_and_leaves_the_old_one(path: Path) -> None:
    LedgerFile(path).save(flapped(1).state(0.0), SAVED_AT)
    path.with_name("ledger.json.new").mkdir()
    with pytest.raises(StateFileError, match=r"ledger\.json: cannot be written: Is a directory"):
        LedgerFile(path).save(flapped(2).state(0.0), SAVED_AT)
    assert load(path) == (1000, "")
    with pytest.raises(StateFileError, match="No such file or directory"):
        LedgerFile(path.parent / "nowhere" / "ledger.json").save((), SAVED_AT)


def test_a_save_is_on_the_disk_before_it_has_the_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order that survives a power cut: content, then name, then the directory that holds the name."""
    steps: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def note_fsync(descriptor: int) -> None:
        steps.append(f"fsync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")
        fsync(descriptor)

    def note_rename(source: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "rename", note_rename)
    LedgerFile(path).save((), SAVED_AT)
    assert steps == ["fsync ledger.json.new", "rename", f"fsync {path.parent.name}"]
