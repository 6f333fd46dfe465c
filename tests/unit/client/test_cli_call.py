"""edgectl call and edgectl load, against an edge on this machine's loopback."""

from __future__ import annotations

import json
import os
import signal
import threading
import wave
from pathlib import Path
from typing import Any

import click
import pytest

from edge.cli import main
from edge.cli.load import load
from edge.cli.target import HostPort
from edge.client import audio, speech
from edge.overload import Verdict


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """0.3 s of speech."""
    path = tmp_path / "short.wav"
    audio.write_wav(path, audio.read_speech(speech.recording("hello"))[20:35])
    return path


def dial(loopback: Any, authority: Any, *options: str) -> list[str]:
    return [
        f"127.0.0.1:{loopback.port}",
        "--ca",
        str(authority.ca),
        "--server-name",
        "voice.example",
        *options,
    ]


def test_a_call_is_summed_up_in_json(
    loopback: Any, authority: Any, short: Path, tmp_path: Path, capsys: Any
) -> None:
    saved = tmp_path / "heard.wav"
    arguments = dial(
        loopback, authority, "--wav", str(short), "--repeat", "2", "--save", str(saved), "-o", "json"
    )
    assert main(["call", *arguments]) == 0
    output = capsys.readouterr()
    summary = json.loads(output.out)
    frames = len(audio.read_speech(short))
    expected = {
        "apiVersion": "edge/v1",
        "kind": "CallSummary",
        "ending": "hung_up",
        "node": "l1",
        "path": f"127.0.0.2:{loopback.port}",
        "migrated": True,
        "utterances": 2,
        "frames_sent": 2 * frames,
        "frames_heard_by_edge": 2 * frames,
        "frames_missing_up": 0,
        "frames_received": 2 * frames,
        "frames_said_by_edge": 2 * frames,
        "frames_missing_down": 0,
        "ledgers_equal": True,
        "reconnects": 0,
    }
    assert {key: summary[key] for key in expected} == expected
    assert len(summary["legs"]) == 1
    assert "connected to l1" in output.err
    assert "moved to 127.0.0.2" in output.err
    with wave.open(str(saved)) as file:
        assert file.getnframes() >= 2 * frames * 960


def test_a_call_is_summed_up_in_a_table(loopback: Any, authority: Any, short: Path, capsys: Any) -> None:
    assert main(["call", *dial(loopback, authority, "--wav", str(short))]) == 0
    rows = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines() if line[0] != " ")
    assert {name: value.strip() for name, value in rows.items()}.items() >= {
        "ending": "hung up",
        "node": "l1",
        "both ends agree": "yes",
    }.items()


def test_sigterm_hangs_up_and_accounts(loopback: Any, authority: Any, capsys: Any) -> None:
    """The recording is 8 s long; the signal comes when the edge has heard the first of it."""

    def stop_speech() -> None:
        while loopback.edge.calls.counters()["frames_heard"] == 0:
            threading.Event().wait(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    stopping = threading.Thread(target=stop_speech)
    stopping.start()
    assert main(["call", *dial(loopback, authority, "-o", "json")]) == 0
    stopping.join()
    summary = json.loads(capsys.readouterr().out)
    assert 0 < summary["frames_sent"] < 300
    assert (summary["ending"], summary["ledgers_equal"]) == ("hung_up", True)


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["HOST", "--wav", "nowhere.wav"], 2, "nowhere.wav"),
        (["HOST", "--story", "--wav", "in.wav"], 2, "--story"),
        (["HOST", "--save", "no-such-folder/out.wav"], 2, "no-such-folder"),
        (["HOST", "--repeat", "0"], 2, "--repeat"),
        (["HOST:0"], 2, "UDP port"),
        (["HOST:99999"], 2, "UDP port"),
        (["HOST:https"], 2, "HOST:PORT"),
        (["HOST", "--ca", "nowhere.pem"], 2, "nowhere.pem"),
        (["name.invalid"], 5, "name.invalid"),
        (["127.0.0.1:9", "--timeout", "0.3"], 4, "no answer within 0.3 s"),
        (["127.0.0.1:9", "--source", "192.0.2.1"], 5, "192.0.2.1"),
        (["127.0.0.1:9", "-6"], 5, "127.0.0.1"),
    ],
    ids=str,
)
def test_what_is_wrong_is_one_line_and_an_exit_code(
    arguments: list[str], code: int, message: str, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.wav").write_bytes(b"")
    assert main(["call", *(argument.replace("HOST", "127.0.0.1") for argument in arguments)]) == code
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert (
        message.replace("HOST", "127.0.0.1") in output.err
        or "UDP port" in output.err
        or message in output.err
    )


def test_a_certificate_of_somebody_else_is_not_called(loopback: Any, capsys: Any) -> None:
    assert main(["call", f"127.0.0.1:{loopback.port}"]) == 5
    assert "--ca" in capsys.readouterr().err


def test_a_busy_edge_is_exit_code_6(loopback: Any, authority: Any, capsys: Any) -> None:
    loopback.edge.verdict = Verdict.REFUSE
    assert main(["call", *dial(loopback, authority)]) == 6
    assert "overloaded" in capsys.readouterr().err


def test_load_reports_every_second_and_in_the_end(loopback: Any, authority: Any, capsys: Any) -> None:
    arguments = dial(loopback, authority, "--calls", "3", "--hold", "1.3", "--profile", "batch", "-o", "json")
    assert load.main(arguments, standalone_mode=False) == 0
    second, totals = map(json.loads, capsys.readouterr().out.splitlines())
    assert (second["apiVersion"], second["kind"], second["up"]) == ("edge/v1", "LoadReport", {"l1": 3})
    assert (totals["kind"], totals["up"], totals["established"]) == ("LoadTotals", {}, {"l1": 3})


def test_load_that_reaches_nobody_fails(capsys: Any) -> None:
    assert load.main(["127.0.0.1:9", "--calls", "1", "--hold", "0.2"], standalone_mode=False) == 1
    assert "established 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    "typed, host, port",
    [
        ("voice.example", "voice.example", 443),
        ("voice.example:4433", "voice.example", 4433),
        ("192.0.2.1:1", "192.0.2.1", 1),
        ("2001:db8::1", "2001:db8::1", 443),
        ("::1", "::1", 443),
        ("[2001:db8::1]", "2001:db8::1", 443),
        ("[2001:db8::1]:8443", "2001:db8::1", 8443),
    ],
)
def test_a_host_is_understood_as_it_is_usually_written(typed: str, host: str, port: int) -> None:
    assert HostPort().convert(typed, None, None) == (host, port)


@pytest.mark.parametrize(
    "typed", ["", ":443", "voice.example:", "voice example", "[voice.example", "a:b:c d"]
)
def test_what_is_no_host_is_refused(typed: str) -> None:
    with pytest.raises(click.BadParameter):
        HostPort().convert(typed, None, None)


@pytest.mark.parametrize(
    "arguments, code, says",
    [
        (["nosuch.invalid"], 5, "nosuch.invalid: "),
        (["127.0.0.1", "--ca", "/nonexistent"], 2, "/nonexistent: cannot be read"),
    ],
)
def test_load_says_at_once_what_no_caller_could_mend(
    arguments: list[str], code: int, says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["load", *arguments, "--calls", "3", "--hold", "1"]) == code
    assert capfd.readouterr().err.splitlines()[-1].startswith(f"edgectl: error: {says}")
