"""What the doctor says of programs, without looking at the machine's kernel."""

from __future__ import annotations

import pytest

from edge.lab import doctor, frr, programs
from edge.lab.doctor import Verdict


@pytest.fixture(autouse=True)
def no_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_kernel", lambda: ())


def test_without_frr_a_lab_works_but_some_scenarios_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frr, "_DIRECTORIES", ())
    (finding,) = (finding for finding in doctor.examine() if finding.subject == "frr")
    assert finding.verdict is Verdict.NOTE
    assert finding.detail.endswith("as in the scenarios matrix, damping, crash-loop")
    assert finding.remedy == "apt install frr"


def test_without_bird_there_is_no_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(programs, "_SYSTEM_DIRECTORIES", ())
    (finding,) = (finding for finding in doctor.examine() if finding.subject == "bird")
    assert (finding.verdict, finding.remedy) == (Verdict.PROBLEM, "apt install bird2")


def test_without_nft_a_lab_works_but_has_no_firewalls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(programs, "_SYSTEM_DIRECTORIES", ())
    (finding,) = (finding for finding in doctor.examine() if finding.subject == "nft")
    assert finding.verdict is Verdict.NOTE
    assert finding.detail == "not found; needed by firewalls and NATs, as in the scenario roaming"
    assert finding.remedy == "apt install nftables"


def test_without_flite_a_lab_works_but_nobody_talks_with_its_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    (finding,) = (finding for finding in doctor.examine() if finding.subject == "demo backend")
    assert finding.verdict is Verdict.NOTE
    assert finding.detail == "flite not found; needed to talk with an edge, as in the scenario conversation"
    assert finding.remedy == "apt-get install flite"
