"""edgectl node check --tls: a certificate and its key, before they take the place of those that a node has."""

import json
import shutil

import pytest
from click.testing import CliRunner

from edge.cli.root import edgectl
from edge.errors import ConfigError, UsageError
from edge.lab.certificates import write_certificate


@pytest.fixture
def pair(tmp_path):
    write_certificate(tmp_path / "chain.pem", tmp_path / "key.pem", ["voice.example"], [])
    return tmp_path


def check(directory, *options: str):
    return CliRunner().invoke(edgectl, ["node", "check", "--tls", str(directory), *options])


def test_a_good_pair_says_how_long_it_is_good(pair):
    answer = check(pair, "-o", "json")
    assert answer.exit_code == 0
    assert json.loads(answer.stdout)["kind"] == "TlsCheck"
    assert "good until" in check(pair).stdout


def test_the_key_of_another_certificate_is_none(pair, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    write_certificate(other / "chain.pem", other / "key.pem", ["voice.example"], [])
    shutil.copy(other / "key.pem", pair / "key.pem")
    problem = check(pair).exception
    assert isinstance(problem, ConfigError)
    assert "$.tls.private_key" in str(problem)


def test_it_is_one_of_three(pair):
    assert isinstance(check(pair, "--config", "node.toml").exception, UsageError)
