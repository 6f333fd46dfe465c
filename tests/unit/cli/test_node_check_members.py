"""edgectl node check --members: who is in the fleet, before it takes the place of the file that nodes watch."""

import json

import pytest
from click.testing import CliRunner

from edge.cli.root import edgectl
from edge.errors import ConfigError, UsageError

GOOD = '[[nodes]]\nname = "a"\nsite = "x"\nserver_id = "00000000000000a1"\naddresses = ["198.51.100.1"]\n'


@pytest.fixture
def check(tmp_path):
    def run(text: str, *options: str):
        path = tmp_path / "members.toml"
        path.write_text(text)
        return CliRunner().invoke(edgectl, ["node", "check", "--members", str(path), *options])

    return run


def test_a_good_file_names_its_nodes(check):
    answer = check(GOOD, "-o", "json")
    assert answer.exit_code == 0
    assert json.loads(answer.stdout)["nodes"] == ["a"]


@pytest.mark.parametrize("text", ["", "nodes = 1\n", GOOD + GOOD, "[[nodes]\n"])
def test_what_no_node_would_take_is_a_mistake_in_the_file(check, text):
    answer = check(text)
    assert isinstance(answer.exception, ConfigError)
    assert "members.toml: $" in str(answer.exception)
    assert answer.stdout == ""


def test_it_is_one_or_the_other(check):
    assert isinstance(check(GOOD, "--config", "node.toml").exception, UsageError)
