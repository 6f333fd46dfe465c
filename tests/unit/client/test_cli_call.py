"""edgectl call and edgectl load, against an edge on this machine's loopback."""

from __future__ import annotations

import base64
import json
import os
import signal
import threading
import time
import wave
from pathlib import Path
from typing import Any

import click
import jwt
import pytest

from edge.cli import main
from edge.cli.load import load
from edge.cli.target import HostPort
from edge.client import audio, speech
from edge.client import tickets as ticket_module
from edge.overload import Gate
from edge.runtime.messages import AuthSettings

SECRET = b"0123456789abcdef0123456789abcdef"
KEY_SET = json.dumps(
    {"keys": [{"kty": "oct", "kid": "k1", "alg": "HS256", "k": base64.urlsafe_b64encode(SECRET).decode()}]}
)
GOOD = jwt.encode({"exp": time.time() + 600}, SECRET, algorithm="HS256", headers={"kid": "k1"})


@pytest.fixture(autouse=True)
def no_tickets() -> None:
    ticket_module._STORES.clear()


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
        "carrier": "quic",
        "early_data": False,
        "deadlines": {"uplink_ms": 500, "downlink_ms": None},
        "migrated": True,
        "utterances": 2,
        "frames_sent": 2 * frames,
        "frames_heard_by_edge": 2 * frames,
        "frames_missing_up": 0,
        "frames_received": 2 * frames,
        "frames_said_by_edge": 2 * frames,
        "frames_missing_down": 0,
        "frames_lost_up": 0,
        "frames_lost_down": 0,
        "underrun_ratio": 0.0,
        "resumed": 0,
        "barge_ins": [],
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
        while loopback.worker.calls.counters()["frames_heard"] == 0:
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
        (["127.0.0.1:9", "--carrier", "websocket"], 5, "cannot be reached over TCP"),
        (["HOST", "--token", "@nowhere.jwt"], 2, "nowhere.jwt: cannot be read"),
        (["HOST", "--deadline", "soon"], 2, "none of live, chat, accurate"),
        (["HOST", "--deadline", "5:none"], 2, "5 ms is not 20 to 60000"),
        (["HOST", "--lead", "6000"], 2, "neither auto nor 200 to 5000"),
        (["HOST", "--resume-after", "100"], 2, "--interrupt-at"),
        (["HOST", "--interrupt-at", "1", "--interrupt-at", "2"], 2, "only 1 answers"),
        (["HOST", "--ticket-file", "in.wav"], 2, "in.wav: holds no tickets"),
        (["HOST", "--say", "nothing"], 2, "nothing"),
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
    loopback.worker.gate = Gate(refuse_probability=1.0)
    assert main(["call", *dial(loopback, authority)]) == 6
    assert "overloaded" in capsys.readouterr().err


def test_an_interruption_is_narrated_and_accounted(
    loopback: Any, authority: Any, tmp_path: Path, capsys: Any
) -> None:
    both = tmp_path / "both.wav"
    arguments = dial(
        loopback,
        authority,
        "--story",
        "--backend",
        "story",
        "--interrupt-at",
        "0.5",
        "--save-both",
        str(both),
        "-o",
        "json",
    )
    assert main(["call", *arguments]) == 0
    output = capsys.readouterr()
    (account,) = json.loads(output.out)["barge_ins"]
    assert account["generated_bytes"] == account["wire_bytes"] + account["saved_bytes"]
    assert account["wasted_ms"] <= account["allowed_ms"] == 1200
    assert 480 <= account["played_ms"] < 900
    assert "interrupted at 0.5 s" in output.err
    assert f"{account['saved_bytes']} saved" in output.err
    assert both.stat().st_size > 48_000


def test_an_interruption_can_be_taken_back_but_not_too_late(
    loopback: Any, authority: Any, tmp_path: Path, capsys: Any
) -> None:
    for resume_ms, says, accounts in (("100", "taken back", 0), ("600", "600 ms are too late", 1)):
        options = ["--story", "--backend", "story", "--interrupt-at", "0.3", "--resume-after", resume_ms]
        stopping = threading.Timer(1.7, os.kill, [os.getpid(), signal.SIGTERM])
        stopping.start()
        main(["call", *dial(loopback, authority, *options, "-o", "json")])
        stopping.cancel()
        output = capsys.readouterr()
        assert says in output.err
        assert len(json.loads(output.out)["barge_ins"]) == accounts


def test_the_table_shows_the_account(loopback: Any, authority: Any, capsys: Any) -> None:
    arguments = dial(loopback, authority, "--story", "--backend", "story", "--interrupt-at", "0.2")
    assert main(["call", *arguments]) == 0
    table = capsys.readouterr().out
    assert "answer 1 cut" in table
    assert " saved" in table
    assert "1200 ms of lead and two groups" in table


def test_a_second_call_with_the_same_tickets_is_early(
    loopback: Any, authority: Any, short: Path, tmp_path: Path, capsys: Any
) -> None:
    for early in (False, True):
        ticket_module._STORES.clear()
        options = ["--wav", str(short), "--ticket-file", str(tmp_path / "tickets"), "-o", "json"]
        assert main(["call", *dial(loopback, authority, *options)]) == 0
        assert json.loads(capsys.readouterr().out)["early_data"] is early


@pytest.mark.parametrize(
    "command", ["load HOST --calls 1", "probe", "upgrade 0.2.0", "rollback", "config apply"], ids=str
)
def test_every_command_that_calls_reads_a_token_from_a_file(
    command: str, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*command.split(), "--token", "@nowhere.jwt"]) == 2
    assert "nowhere.jwt: cannot be read" in capsys.readouterr().err


def test_many_callers_show_their_token(start: Any, authority: Any, capsys: Any, monkeypatch: Any) -> None:
    edge = start(auth=AuthSettings(KEY_SET, None, ()))
    arguments = ["load", *dial(edge, authority, "--calls", "1", "--hold", "1", "-o", "json")]
    monkeypatch.setenv("EDGE_TOKEN", GOOD)
    assert main(arguments) == 0
    total = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (sum(total["established"].values()), total["lost"]) == (1, 0)


def test_a_token_may_come_from_the_environment_or_a_file(
    start: Any, authority: Any, short: Path, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    edge = start(auth=AuthSettings(KEY_SET, None, ()))
    arguments = ["call", *dial(edge, authority, "--wav", str(short), "-o", "json")]
    assert main(arguments) == 6
    assert "asks for a token" in capsys.readouterr().err
    (tmp_path / "good.jwt").write_text(f"{GOOD}\n")
    assert main([*arguments, "--token", f"@{tmp_path / 'good.jwt'}"]) == 0
    monkeypatch.setenv("EDGE_TOKEN", GOOD)
    assert main(arguments) == 0
    capsys.readouterr()
    assert main([*arguments, "--backend", "nobody"]) == 6
    error = capsys.readouterr().err
    assert "may not be chosen here" in error
    assert error.count("\n") == 1


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
