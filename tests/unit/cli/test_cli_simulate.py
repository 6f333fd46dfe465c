"""edgectl simulate: what it prints, what it writes, and what it says to mistakes."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from edge.cli import main
from edge.cli.simulate import EXAMPLES
from edge.simulate.contenders import NAMES

WORLD = """
title = "small"
hours = 1
[[sites]]
name = "one"
capacity = 10
[[populations]]
name = "all"
calls = 20
prefers = ["one"]
"""


@pytest.fixture
def world(tmp_path: Path) -> Path:
    path = tmp_path / "world.toml"
    path.write_text(WORLD)
    return path


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    code = main(["simulate", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_every_example_is_listed_with_what_it_is_about(capsys):
    code, out, _ = run(capsys, "--list")
    lines = out.splitlines()[1:]
    assert code == 0
    assert [line.split()[0] for line in lines] == list(EXAMPLES)
    assert all(len(line.split()) > 5 for line in lines)


def test_an_example_can_be_printed_and_run_as_a_file(capsys, tmp_path):
    code, text, _ = run(capsys, "--show", "hot-site")
    assert code == 0
    mine = tmp_path / "mine.toml"
    mine.write_text(text)
    assert run(capsys, mine, "--hours", 0.1) == run(capsys, "hot-site", "--hours", 0.1)


def test_the_table_has_a_line_for_each_policy(capsys, world):
    code, out, err = run(capsys, world)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[2:]] == list(NAMES)
    assert err == "", "a bar where nobody looks"


def test_json_and_pictures_are_the_same_bytes_for_the_same_seed(capsys, world, tmp_path):
    def written(number: int, seed: int) -> tuple[str, bytes, bytes]:
        plot, html = tmp_path / f"{number}.png", tmp_path / f"{number}.html"
        code, out, _ = run(
            capsys, world, "--hours", 0.2, "--seed", seed, "-o", "json", "--plot", plot, "--html", html
        )
        assert code == 0
        return out, plot.read_bytes(), html.read_bytes()

    first = written(1, 0)
    assert first == written(2, 0)
    assert first[0] != run(capsys, world, "--hours", 0.2, "--seed", 1, "-o", "json")[1]


def test_the_document_has_its_published_keys(capsys, world):
    document = json.loads(run(capsys, world, "-o", "json", "--policy", "ours", "--policy", "none")[1])
    assert list(document)[:3] == ["apiVersion", "kind", "title"]
    assert (document["apiVersion"], document["kind"], document["seed"]) == ("edge/v1", "Simulation", 0)
    assert [outcome["policy"] for outcome in document["policies"]] == ["ours", "none"]
    assert {name: set(part) for name, part in document["policies"][0].items() if isinstance(part, dict)} == {
        "calls": {
            *("offered", "carried", "refused", "unanswered", "no_route", "redialling"),
            *("dropped_ratio", "away_ratio", "cut"),
        },
        "dark": {"service_s", "worst_population_s", "worst_population", "ratio"},
        "routing": {
            *("updates", "withdrawals", "worst_updates", "worst_site"),
            *("suppressed_nodes", "suppressed_h", "catchment_changes"),
        },
        "load": {"peak_pressure", "overloaded_h"},
        "series": {
            *("hours", "plain", "depreferred", "pressure_median", "pressure_95", "pressure_max"),
            *("dropped_ratio", "dark_ratio", "service_dark"),
        },
    }


def test_the_page_fetches_nothing(capsys, world, tmp_path):
    run(capsys, world, "--html", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<svg" in page
    assert "src=" not in page
    assert "<link" not in page


def test_days_are_24_hours(capsys, world):
    assert json.loads(run(capsys, world, "-o", "json", "--days", 0.01)[1])["hours"] == pytest.approx(0.24)


@pytest.mark.parametrize(
    "old, new, says",
    [
        ("capacity = 10", "capacty = 10", "$.sites[0].capacty: unknown key; did you mean 'capacity'?"),
        ("capacity = 10", "capacity = [20, 10]", "$.sites[0].capacity: [20, 10] begins above its end"),
        ("capacity = 10", "capacity = 0", "$.sites[0].capacity: must be more than 0"),
        ("capacity = 10", "", "$.sites[0].capacity: give either this or planned_load"),
        ("capacity = 10", "capacity = 10\nspread_deg = 1", "$.sites[0].spread_deg: needs a position"),
        ("capacity = 10", "capacity = 10\nposition = [91, 0]", "$.sites[0].position: degrees north"),
        ("hours = 1", "hours = 1e9", "$.hours"),
        ("hours = 1", "hours = 744\nstep_s = 1", "$.hours: more than 1000000 steps"),
        ("calls = 20", "", "$.populations[0].calls: is missing"),
        ('prefers = ["one"]', 'prefers = ["two"]', "$.populations: nothing is called 'two'; there are one"),
        ('prefers = ["one"]', "", "$.populations[0].prefers: name sites, or give the population a position"),
        ('name = "one"', 'name = "one"\ncount = 20001', "$.sites[0].count"),
        ('name = "one"', 'name = "one"\ncount = 200\nnodes = 200', "$.sites: more than 20000 nodes"),
        (
            "[[populations]]",
            '[[sites]]\nname = "one"\ncapacity = 1\n[[populations]]',
            "$.sites: 'one' is there twice",
        ),
        ("hours = 1", "hours = 1\npolicy.pressure_fall = 0.9", "$.policy.pressure_fall"),
        ("hours = 1", "hours =", "is not TOML"),
    ],
)
def test_a_mistake_in_a_file_is_one_line_that_names_its_key(capsys, world, old, new, says):
    world.write_text(WORLD.replace(old, new))
    code, out, err = run(capsys, world)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err


@pytest.mark.parametrize(
    "event, says",
    [
        ('kind = "site-down"\nsites = ["x*"]', "$.events: nothing is called 'x*'"),
        ('kind = "earthquake"\nsites = ["one"]', "$.events[0].kind"),
        (
            'kind = "link-flap"\nsites = ["one"]\ndown_s = 120',
            "$.events[0].down_s: must be less than every_s",
        ),
    ],
)
def test_a_mistake_in_an_event_too(capsys, world, event, says):
    world.write_text(f"{WORLD}\n[[events]]\nstart_h = 0\nlasts_h = 1\n{event}\n")
    code, _, err = run(capsys, world)
    assert code == 2
    assert says in err


@pytest.mark.parametrize(
    "arguments, code, says",
    [
        ([], 2, "--list"),
        (["no-such-world"], 2, "no example of that name"),
        (["hot-site", "--hours", "1", "--days", "1"], 2, "give one"),
        (["hot-site", "--policy", "best"], 2, "--help"),
        (["hot-site", "--hours", "0.01", "--plot", "/no/such/folder/a.png"], 5, "/no/such/folder/a.png"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(capsys, arguments, code, says):
    found, out, err = run(capsys, *arguments)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert says in err


def test_without_numpy_it_says_what_to_install(capsys, world, monkeypatch):
    monkeypatch.setitem(sys.modules, "numpy", None)
    monkeypatch.delitem(sys.modules, "edge.simulate.run", raising=False)
    code, _, err = run(capsys, world)
    assert code == 5
    assert "pip install 'anycast-edge[simulate]'" in err


def test_without_matplotlib_there_is_a_table_but_no_picture(capsys, world, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "edge.simulate.plot", raising=False)
    assert run(capsys, world)[0] == 0
    code, _, err = run(capsys, world, "--plot", tmp_path / "a.png")
    assert code == 5
    assert "pip install 'anycast-edge[simulate]'" in err


def test_a_thousand_sites_need_less_than_a_gibibyte():
    command = [
        sys.executable,
        "-m",
        "edge.cli",
        "simulate",
        "thousand-sites",
        "--hours",
        "0.2",
        "--policy",
        "naive",
    ]
    subprocess.run(command, check=True, capture_output=True)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 1024 * 1024
