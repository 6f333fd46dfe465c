"""edge-release, in a temporary directory: what it leaves behind when things go well, badly, and not to the end."""

import base64
import contextlib
import hashlib
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pip
import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "ansible/roles/edge/files/edge-release"


def load():
    loader = SourceFileLoader("edge_release", str(SCRIPT))
    spec = spec_from_loader("edge_release", loader)
    module = module_from_spec(spec)
    sys.modules["edge_release"] = module  # dataclasses look there
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tool():
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    yield load()
    sys.dont_write_bytecode = before


@pytest.fixture
def machine(tool, tmp_path):
    (tmp_path / "etc").mkdir()
    return tool.Machine(
        releases=tmp_path / "opt/releases",
        configuration=tmp_path / "etc",
        unit="no-such.service",
        account=None,
        python=str(quick_python(tmp_path)),
    )


def quick_python(directory: Path) -> Path:
    """Makes a venv that borrows our pip: to install pip into each takes many seconds. tests/provision takes the time."""
    borrowed = directory / "borrowed"
    borrowed.mkdir()
    (borrowed / "pip").symlink_to(Path(pip.__file__).parent)
    python = directory / "quick-python"
    python.write_text(
        "#!/bin/sh -e\n"
        f'{shlex.quote(sys.executable)} "$@" --without-pip\n'
        f'echo {shlex.quote(str(borrowed))} >"$(echo "$4"/lib/python3*/site-packages)/borrowed.pth"\n'
    )
    python.chmod(0o755)
    return python


@pytest.fixture
def ask(tool, machine, capsys):
    """Run a command line; the exit code and the answer, or what it complained of."""

    def run(*arguments: str, stdin: bytes = b"") -> tuple[int, object]:
        code = tool.main(arguments, machine, io.BytesIO(stdin))
        out, err = capsys.readouterr()
        assert bool(out) == (code == 0)
        assert len((out or err).splitlines()) == 1
        return code, json.loads(out) if code == 0 else err

    return run


# --- releases to install --------------------------------------------------------------------------------

PROGRAM = """
import pathlib, sys
def main():
    match sys.argv[1:]:
        case ["version"]:
            print("fine")
        case ["node", "check", _, path] if "bad" in pathlib.Path(path).read_text():
            sys.exit("$.node: is bad; make it good")
"""


def wheel(directory: Path, version: str, program: str = PROGRAM) -> None:
    """A wheel with a program `edgectl`, and a lock file for it."""
    info = f"anycast_edge-{version}.dist-info"
    files = {
        "fake_edge.py": program,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: anycast-edge\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nedgectl = fake_edge:main\n",
    }
    record = "".join(f"{name},sha256={digest(text)},{len(text)}\n" for name, text in files.items())
    files[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    path = directory / f"anycast_edge-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    (directory / "requirements.txt").write_text(f"anycast-edge=={version} --hash=sha256:{checksum}\n")


def digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def packed(directory: Path, **extra: str) -> bytes:
    """A release's archive, with more members by name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(directory.iterdir()):
            archive.add(path, path.name)
        for name, text in extra.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


@pytest.fixture
def source(tmp_path):
    directory = tmp_path / "source"
    directory.mkdir()
    return directory


def pretend(machine, version: str, program: str = "exit 0") -> None:
    """An installed release, made by hand: a venv takes seconds."""
    place = machine.release(version)
    (place / "bin").mkdir(parents=True)
    (place / "bin/edgectl").write_text(f"#!/bin/sh\n{program}\n")
    (place / "bin/edgectl").chmod(0o755)
    (place / "release.json").write_text(json.dumps({"version": version, "lock_sha256": version}))


# --- install --------------------------------------------------------------------------------------------


def test_a_release_is_installed_once_from_either_source_and_its_program_runs(ask, machine, source):
    wheel(source, "1.0.0")
    assert ask("install", "1.0.0", stdin=packed(source)) == (0, {"changed": True, "version": "1.0.0"})
    run = subprocess.run(
        [machine.release("1.0.0") / "bin/edgectl", "version"], capture_output=True, text=True
    )
    assert run.stdout == "fine\n"
    for again in (("install", "1.0.0", "--from", str(source)), ("install", "1.0.0")):
        assert ask(*again, stdin=packed(source)) == (0, {"changed": False, "version": "1.0.0"})
    assert [path.name for path in machine.releases.iterdir()] == ["1.0.0"]  # nothing of the archive is left

    wheel(source, "1.0.0", PROGRAM + "# changed\n")
    code, error = ask("install", "1.0.0", "--from", str(source))
    assert (code, "other contents" in error) == (6, True)


@pytest.mark.parametrize(
    "named, program, spoil, problem",
    [
        ("1.0.0", PROGRAM, True, "pip did not install it"),  # a wheel that is not the one of the lock file
        ("1.0.1", PROGRAM, False, "another version"),
        ("1.0.0", "raise SystemExit('needs a newer kernel')\n", False, "needs a newer kernel"),
    ],
)
def test_what_does_not_install_leaves_nothing(ask, machine, source, named, program, spoil, problem):
    wheel(source, "1.0.0", program)
    if spoil:
        with zipfile.ZipFile(next(source.glob("*.whl")), "a") as archive:
            archive.writestr("more.py", "")
    code, error = ask("install", named, "--from", str(source))
    assert code in (1, 2)
    assert problem in error
    assert ask("list")[1]["releases"] == []
    assert list(machine.releases.iterdir()) == []


@pytest.mark.parametrize("name", ["../evil.whl", "sub/evil.whl", "evil.pth", "/evil.whl"])
def test_an_archive_holds_wheels_and_nothing_that_leads_elsewhere(ask, machine, source, name):
    wheel(source, "1.0.0")
    code, error = ask("install", "1.0.0", stdin=packed(source, **{name: "x"}))
    assert (code, name in error) == (2, True)
    assert list(machine.releases.rglob("*")) == []


def test_a_truncated_archive_is_refused(ask, machine, source):
    wheel(source, "1.0.0")
    whole = packed(source)
    for part in (whole[: len(whole) // 3], b"", b"no archive"):
        assert ask("install", "1.0.0", stdin=part)[0] == 2
    assert list(machine.releases.iterdir()) == []


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_an_interrupted_install_is_no_release(ask, tmp_path, machine, source, ending):
    """By SIGKILL half a folder stays; it is not listed, not usable, and the next install begins anew."""
    wheel(source, "1.0.0")
    begun, place = tmp_path / "begun", machine.release("1.0.0")
    os.mkfifo(begun)
    # An interpreter that never comes to the end of making a venv.
    slow = tmp_path / "python"
    slow.write_text(f"#!/bin/sh\nmkdir -p {place}/bin; echo > {begun}; exec sleep 1000\n")
    slow.chmod(0o755)
    driver = (
        "import importlib.util, pathlib, sys; from importlib.machinery import SourceFileLoader\n"
        f"loader = SourceFileLoader('edge_release', {str(SCRIPT)!r})\n"
        "tool = importlib.util.module_from_spec(importlib.util.spec_from_loader('edge_release', loader))\n"
        "sys.modules['edge_release'] = tool; loader.exec_module(tool); tool.tidy_when_ended()\n"
        f"machine = tool.Machine(releases=pathlib.Path({str(machine.releases)!r}), account=None, python={str(slow)!r})\n"
        f"sys.exit(tool.main(['install', '1.0.0', '--from', {str(source)!r}], machine, sys.stdin.buffer))\n"
    )
    process = subprocess.Popen([sys.executable, "-B", "-c", driver], start_new_session=True)
    begun.read_text()
    process.send_signal(ending)
    process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # the venv that is being made
    assert place.exists() == (ending == signal.SIGKILL)
    assert ask("list")[1]["releases"] == []
    assert ask("use", "1.0.0")[0] == 2


def test_two_at_once_do_not_mix(ask, tool, machine):
    pretend(machine, "1")
    with tool.alone(machine):
        code, error = ask("use", "1")
    assert (code, "at work" in error) == (6, True)
    assert ask("use", "1")[0] == 0


@pytest.mark.parametrize("version", ["../etc", "", "current/..", "-1", "a" * 70])
def test_a_version_is_no_path(ask, version):
    assert ask("use", version)[0] == 2


# --- use, back, and remove ------------------------------------------------------------------------------


def test_use_and_back(ask, machine):
    for version in ("1.0.0", "1.1.0"):
        pretend(machine, version)
    assert ask("use", "1.0.0")[1] == {"changed": True, "current": "1.0.0", "previous": None}
    assert ask("use", "1.1.0")[1] == {"changed": True, "current": "1.1.0", "previous": "1.0.0"}
    assert ask("use", "1.1.0")[1] == {"changed": False, "current": "1.1.0", "previous": "1.0.0"}
    assert machine.current.resolve() == machine.release("1.1.0")
    assert ask("use", "1.0.0")[1] == {"changed": True, "current": "1.0.0", "previous": "1.1.0"}
    code, error = ask("use", "9")
    assert (code, "1.0.0, 1.1.0" in error) == (2, True)
    assert machine.current.resolve() == machine.release("1.0.0")


def test_what_is_in_use_or_was_stays(ask, machine):
    for version in ("1", "2", "3"):
        pretend(machine, version)
        ask("use", version)
    assert ask("remove", "3")[0] == ask("remove", "2")[0] == 6
    assert ask("remove", "1") == (0, {"changed": True, "version": "1"})
    assert ask("remove", "1") == (0, {"changed": False, "version": "1"})
    assert sorted(ask("list")[1]["releases"]) == ["2", "3"]


def test_a_dry_run_changes_nothing_and_says_what_would(ask, machine, source):
    wheel(source, "2")
    pretend(machine, "1")
    ask("use", "1")
    pretend(machine, "3")
    (machine.configuration / "node.toml").write_text("old\n")
    before = sorted(machine.releases.parent.rglob("*"))
    for words in (
        ("install", "2", "--from", str(source)),
        ("use", "3"),
        ("remove", "3"),
        ("config",),
        ("restart",),
    ):
        code, answer = ask("--dry-run", *words, stdin=b"new\n")
        assert (words, code, answer["changed"]) == (words, 0, True)
    assert sorted(machine.releases.parent.rglob("*")) == before
    assert {path.name: path.read_text() for path in machine.configuration.iterdir()} == {"node.toml": "old\n"}
    assert ask("list")[1]["current"] == "1"


# --- configuration --------------------------------------------------------------------------------------

PICKY = 'case "$(cat "$4")" in *bad*) echo "Error: \\$.node: is bad; make it good" >&2; exit 2;; esac'


@pytest.mark.parametrize("command, name", [("config", "node.toml"), ("members", "members.toml")])
def test_a_bad_file_is_refused_and_the_old_one_stays(ask, machine, command, name):
    pretend(machine, "1", PICKY)
    assert ask(command, stdin=b"one\n")[0] == 2  # nothing is in use yet that could check it
    ask("use", "1")
    code, answer = ask(command, stdin=b"one\n")
    assert (code, answer["changed"], answer["hash"]) == (0, True, hashlib.sha256(b"one\n").hexdigest()[:12])
    assert ask(command, stdin=b"one\n")[1]["changed"] is False
    assert ask(command, stdin=b"two\n")[1]["diff"][-2:] == ["-one", "+two"]
    code, error = ask(command, stdin=b"bad\n")
    assert (code, "$.node: is bad; make it good" in error) == (2, True)
    left = {path.name: path.read_text() for path in machine.configuration.iterdir()}
    assert left == {name: "two\n", f"{name}.previous": "one\n"}
    assert (machine.configuration / name).stat().st_mode & 0o777 == 0o640


def test_a_release_that_is_not_in_use_yet_checks_what_is_for_it(ask, machine):
    pretend(machine, "1", PICKY)
    pretend(machine, "2")
    ask("use", "1")
    assert ask("config", stdin=b"bad to 1\n")[0] == 2
    assert ask("config", "--release", "2", stdin=b"bad to 1\n")[0] == 0


def programs(directory: Path, monkeypatch, **texts: str) -> None:
    """Programs by these names, before all others."""
    for name, text in texts.items():
        path = directory / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(directory), prepend=":")


def test_a_credential_is_encrypted_once_and_again_when_it_is_another(ask, machine, tmp_path, monkeypatch):
    """Encrypting gives something new each time, so what is there is compared decrypted."""
    spoken = 'v=$1; [ $v = encrypt ] && { echo sealed; cat; date +%N; exit; }; [ "$2" = --name=key.pem ] && sed 1d $3 | sed \\$d'
    programs(tmp_path, monkeypatch, systemd_creds=spoken)
    assert ask("credential", "key.pem", stdin=b"secret\n")[1]["changed"] is True
    path = machine.credentials / "key.pem"
    first = path.read_bytes()
    assert (first.startswith(b"sealed"), path.stat().st_mode & 0o777) == (True, 0o600)
    assert ask("credential", "key.pem", stdin=b"secret\n")[1]["changed"] is False
    assert ask("--dry-run", "credential", "key.pem", stdin=b"other\n")[1]["changed"] is True
    assert path.read_bytes() == first
    assert ask("credential", "key.pem", stdin=b"other\n")[1]["changed"] is True
    assert b"other" in path.read_bytes()
    path.write_bytes(b"of another machine")
    assert ask("credential", "key.pem", stdin=b"other\n")[1]["changed"] is True
    assert ask("credential", "../key.pem", stdin=b"x")[0] == ask("credential", "empty")[0] == 2


# A real release's answer to a pair that does not fit; what it is given is where the last word says.
UNFIT = 'grep -q unfit "$4/chain.pem" && { echo "Error: \\$.tls.private_key: does not belong" >&2; exit 2; }; exit 0'


def pem(label: str, text: str) -> str:
    return f"-----BEGIN {label}-----\n{text}\n-----END {label}-----\n"


CHAIN, KEY = pem("CERTIFICATE", "leaf") + pem("CERTIFICATE", "issuer"), pem("EC PRIVATE KEY", "key")


@pytest.fixture
def serves(ask, machine):
    pretend(machine, "1", UNFIT)
    ask("use", "1")


def shown(machine) -> dict[str, str]:
    return {path.name: path.read_text() for path in machine.tls.iterdir()}


def test_a_certificate_and_its_key_are_replaced_at_once(ask, machine, serves):
    """What a node reads at whichever moment belongs together: there is one link, to both."""
    code, answer = ask("tls", stdin=f"{KEY} words\r\n{CHAIN}".encode())
    assert (code, answer["changed"]) == (0, True)
    assert shown(machine) == {"chain.pem": CHAIN, "key.pem": KEY}
    assert answer["hash"] == hashlib.sha256(CHAIN.encode()).hexdigest()[:12]
    first = machine.tls.resolve()
    assert (first.stat().st_mode & 0o777, {p.stat().st_mode & 0o777 for p in first.iterdir()}) == (
        0o750,
        {0o640},
    )
    assert ask("tls", stdin=(CHAIN + KEY).encode())[1] == {**answer, "changed": False}
    other = pem("CERTIFICATE", "renewed")
    assert ask("--dry-run", "tls", stdin=(other + KEY).encode())[1]["changed"] is True
    assert machine.tls.resolve() == first
    assert ask("tls", stdin=(other + KEY).encode())[1]["changed"] is True
    assert shown(machine) == {"chain.pem": other, "key.pem": KEY}
    assert [path.name for path in machine.configuration.glob("tls*") if not path.is_symlink()] == [
        machine.tls.resolve().name
    ]


def test_a_certificate_that_is_not_taken_leaves_the_one_before(ask, machine, serves):
    ask("tls", stdin=(CHAIN + KEY).encode())
    before = sorted(machine.configuration.rglob("*"))
    code, error = ask("tls", stdin=(pem("CERTIFICATE", "unfit") + KEY).encode())
    assert (code, "does not belong" in error, "secret" in error) == (2, True, False)
    for text in (CHAIN, KEY, CHAIN + KEY + KEY, ""):
        assert ask("tls", stdin=text.encode())[0] == 2
    assert sorted(machine.configuration.rglob("*")) == before
    assert shown(machine) == {"chain.pem": CHAIN, "key.pem": KEY}


def test_what_an_interruption_has_left_of_a_certificate_is_no_hindrance(ask, machine, serves):
    """Half a folder that nothing leads to yet, and a whole one before the link."""
    ask("tls", stdin=(CHAIN + KEY).encode())
    folder = machine.tls.resolve()
    machine.tls.unlink()
    (folder / "key.pem").unlink()
    (machine.configuration / "tls.new").mkdir()
    assert ask("tls", stdin=(CHAIN + KEY).encode())[1]["changed"] is True
    assert shown(machine) == {"chain.pem": CHAIN, "key.pem": KEY}
    assert not (machine.configuration / "tls.new").exists()


def test_certificates_that_somebody_keeps_there_himself_are_not_overwritten(ask, machine, serves):
    machine.tls.mkdir()
    (machine.tls / "chain.pem").write_text("his")
    assert ask("tls", stdin=(CHAIN + KEY).encode())[0] == 6
    assert (machine.tls / "chain.pem").read_text() == "his"


def test_what_has_changed_since_the_start_waits_for_a_restart(ask, machine, tmp_path, monkeypatch):
    pretend(machine, "1")
    ask("use", "1")
    (tmp_path / "unit").write_text("")
    started_us = int(time.monotonic() * 1e6)
    programs(
        tmp_path,
        monkeypatch,
        systemctl="echo ActiveState=active; echo DropInPaths=; "
        f"echo InactiveExitTimestampMonotonic={started_us}; echo FragmentPath={tmp_path / 'unit'}",
    )
    now = time.time()
    for path in (tmp_path / "unit", machine.current):
        os.utime(path, (now - 60, now - 60), follow_symlinks=False)
    assert ask("list")[1]["waiting"] == []
    (machine.configuration / "node.toml").write_text("new")
    os.utime(machine.configuration / "node.toml", (now + 60, now + 60))
    assert ask("list")[1]["waiting"] == ["node.toml"]
    os.utime(machine.current, (now + 60, now + 60), follow_symlinks=False)
    assert ask("list")[1]["waiting"] == ["release", "node.toml"]
    programs(tmp_path, monkeypatch, systemctl="echo ActiveState=inactive")
    assert (ask("list")[1]["running"], ask("list")[1]["waiting"]) == (False, [])


def test_a_unit_that_is_not_there_cannot_be_restarted(ask, machine, tmp_path, monkeypatch):
    programs(
        tmp_path,
        monkeypatch,
        systemctl="[ $1 = reset-failed ]",
        journalctl="echo 'Error: $.tls.certificate: expired; renew it'",
    )
    code, error = ask("restart")
    assert (code, "did not come up: $.tls.certificate: expired; renew it" in error) == (1, True)
