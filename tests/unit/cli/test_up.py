"""edgectl up: what its options become, and mistakes that are told in terms of what was typed."""

import errno
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge.backend.demo import installed
from edge.cli import up as command
from edge.errors import ConfigError, UnreachableError, UsageError
from edge.runtime.sockets import bind_error


def refused(*arguments: str) -> str:
    with pytest.raises(UsageError) as caught:
        CliRunner().invoke(command.up, arguments, catch_exceptions=False, standalone_mode=False)
    return str(caught.value)


def table(*settings: str) -> dict[str, object]:
    return tomllib.loads(command._table("openai", settings)).get("backends", {}).get("openai", {})


def test_settings_are_toml_or_plain_words_and_files_are_looked_for_from_here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/srv/ann")
    assert table() == {}
    assert table(
        "url=wss://host/v1?a=b", "timeout_s=2.5", "caller_session=false", 'session.instructions=Say "no"'
    ) == {
        "url": "wss://host/v1?a=b",
        "timeout_s": 2.5,
        "caller_session": False,
        "session": {"instructions": 'Say "no"'},
    }
    assert table("api_key_file=key") == {"api_key_file": str(tmp_path / "key")}
    assert table("api_key_file=~/key") == {"api_key_file": "/srv/ann/key"}


@pytest.mark.parametrize("setting", ["u rl=x", "=x", "a\nb=x"])
def test_a_setting_that_is_none_is_refused(setting):
    with pytest.raises(UsageError, match="want KEY=VALUE"):
        command._table("openai", [setting])


def test_a_backend_that_is_not_there_is_an_error_that_says_what_there_is():
    assert "choose one of demo, echo" in refused("--backend", "nobody")


def test_a_backend_that_lacks_a_program_is_an_error_with_a_way_out(monkeypatch):
    monkeypatch.setattr(installed, "missing", lambda: {"flite": "apt-get install flite"})
    assert refused() == (
        "backend 'demo': not installed: flite (apt-get install flite); to do without: edgectl up --backend echo"
    )


def test_the_two_ports_must_differ():
    assert "--port and --page-port are both 9000" in refused(
        "--backend", "echo", "--port", "9000", "--page-port", "9000"
    )


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    path = str(tmp_path / "file" / "below")
    assert f"--directory {path}: cannot write there" in refused("--backend", "echo", "--directory", path)


def test_errors_of_the_file_that_was_written_speak_of_options():
    with pytest.raises(UsageError, match=r"^--set url=VALUE: is missing$"), told():
        raise ConfigError("$.backends.pipecat.url", "is missing")
    with pytest.raises(ConfigError), told():
        raise ConfigError("$.service.port", "is taken")


@pytest.mark.parametrize("port, option", [(4433, "--port"), (8080, "--page-port")])
def test_a_port_that_is_taken_names_its_option(port, option):
    cause = OSError(errno.EADDRINUSE, "taken")
    with pytest.raises(UnreachableError, match=f"choose another one with {option}$"), told():
        raise bind_error(cause, "127.0.0.1", port, "tcp") from cause


def told():
    return command._in_terms_of_options("pipecat", 8080)
