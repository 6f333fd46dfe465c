"""The benchmark table must not flatter: a figure without delivered work is no figure."""

import importlib.util
import json
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "bench" / "run.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_runner", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(bench, name, value, *, delivered=True, relative_to=None):
    return bench.Row(
        group="calls", name=name, value=value, unit="1/core", delivered=delivered, relative_to=relative_to
    )


def test_ratio_is_to_the_named_row_of_the_same_run(bench):
    ours, peer = bench.with_ratios([row(bench, "ours", 300, relative_to="peer"), row(bench, "peer", 200)])
    assert (ours.ratio, peer.ratio) == (1.5, None)


@pytest.mark.parametrize("ours, peer", [(False, True), (True, False)])
def test_undelivered_work_has_no_ratio(bench, ours, peer):
    rows = [
        row(bench, "ours", 300, delivered=ours, relative_to="peer"),
        row(bench, "peer", 200, delivered=peer),
    ]
    assert bench.with_ratios(rows)[0].ratio is None


def test_undelivered_work_shows_no_figure(bench):
    table = bench.table([row(bench, "ours", 98765, delivered=False)])
    assert "98,765" not in table
    assert "not delivered" in table


def test_a_misspelt_peer_is_an_error(bench):
    with pytest.raises(KeyError):
        bench.with_ratios([row(bench, "ours", 300, relative_to="pier")])


def test_rows_that_would_overwrite_each_other_are_an_error(bench):
    with pytest.raises(ValueError, match="same name"):
        bench.with_ratios([row(bench, "ours", 1), row(bench, "ours", 2)])


def test_a_run_prints_the_table_and_writes_the_report_with_its_method(bench, tmp_path, capsys):
    (tmp_path / "bench_planted.py").write_text(
        '"""Counted by hand."""\n'
        "def run():\n"
        "    return [{'group': 'g', 'name': 'n', 'value': 2.5, 'unit': 'ms', 'delivered': True}]\n"
    )
    bench.main([], folder=tmp_path, output=tmp_path / "out" / "bench.json")
    assert "2.5" in capsys.readouterr().out
    report = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert report["methods"] == {"bench_planted": "Counted by hand."}
    assert report["rows"][0]["value"] == 2.5
    assert report["machine"]["cores"] >= 1
