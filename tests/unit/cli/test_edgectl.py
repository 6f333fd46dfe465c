"""The doorway of the command line: what a person and a script see when things go wrong."""

import logging
import os
import re
import shlex
import subprocess
import sys
import types
from collections.abc import Callable

import click
import pytest

from edge import errors
from edge.cli import main
from edge.cli.root import SECTIONS, Entry, edgectl

EVERY_ERROR = [
    (errors.EdgeError("it broke"), 1),
    (errors.UsageError("say it otherwise"), 2),
    (errors.ConfigError("$.bgp.prefix", "not a prefix"), 2),
    (errors.PartialError("n2, n3"), 3),
    (errors.DeadlineError("no answer in 5 s"), 4),
    (errors.UnreachableError("connection refused"), 5),
    (errors.RefusedError("last announcer"), 6),
]


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Adds the command `planted`, which does what the test says."""

    def plant(body: Callable[[], object]) -> None:
        module = types.ModuleType("planted_command")
        module.planted = click.command("planted")(body)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "planted_command", module)
        monkeypatch.setitem(SECTIONS["About"], "planted", Entry("planted_command", "for this test"))

    return plant


@pytest.mark.parametrize("error, code", EVERY_ERROR, ids=lambda value: type(value).__name__)
def test_an_error_is_one_line_and_its_own_exit_code(plant, capsys, error, code):
    def fail() -> None:
        raise error

    plant(fail)
    assert main(["planted"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"edgectl: error: {error}\n"


def test_every_error_class_is_covered_above():
    classes = {kind for kind in vars(errors).values() if isinstance(kind, type)}
    assert {type(error) for error, _ in EVERY_ERROR} == classes


@pytest.mark.parametrize("result, code", [(None, 0), (0, 0), (3, 3)])
def test_a_command_chooses_its_exit_code_by_returning_it(plant, result, code):
    plant(lambda: result)
    assert main(["planted"]) == code


@pytest.mark.parametrize(
    "arguments", [["nosuch"], ["version", "--nope"], ["version", "extra"], ["completion"]]
)
def test_wrong_usage_is_one_line_that_names_the_help(capsys, arguments):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "error:" in err
    assert "--help" in err


def test_no_arguments_show_the_table_of_contents_but_fail(capsys):
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "version" in err


def test_a_bug_keeps_its_traceback(plant):
    plant(lambda: {}["missing"])
    with pytest.raises(KeyError):
        main(["planted"])


def test_interrupt_is_quiet_and_ends_as_a_shell_expects(plant, capsys):
    def interrupted() -> None:
        raise KeyboardInterrupt

    plant(interrupted)
    assert main(["planted"]) == 130
    assert capsys.readouterr().err.strip() == ""


def test_closed_pipe_is_quiet():
    script = (
        "import click, sys, types; from edge.cli import main, root\n"
        "module = sys.modules['planted'] = types.ModuleType('planted')\n"
        "module.planted = click.command('planted')(lambda: print('never read'))\n"
        "root.SECTIONS['About']['planted'] = root.Entry('planted', '')\n"
        "sys.stdin.read()\n"  # until the test has closed the other end of stdout
        "sys.exit(main(['planted']))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    process.stdin.close()
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait() == 1


def test_a_terminal_that_lacks_a_character_is_shown_another(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "edge.cli", "status", str(tmp_path / "none.sock")],
        capture_output=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        text=True,
    )
    assert done.returncode == 5, done.stderr
    assert "unreachable" in done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["version"]])
def test_help_and_version_load_nothing_heavy(arguments):
    script = (
        "import sys; from edge.cli import main; main(sys.argv[1:])\n"
        "heavy = {'asyncio', 'aioquic', 'av', 'cryptography', 'pyroute2', 'rich', 'msgspec'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "[]\n")


@pytest.mark.parametrize("name", edgectl.list_commands(click.Context(edgectl)))
def test_every_entry_of_the_table_is_a_command_with_help(name, capsys):
    assert main([name, "--help"]) == 0
    assert f"Usage: edgectl {name}" in capsys.readouterr().out


def walk(command, path, parent=None):
    """Each command below ``command``, with the context that it would have."""
    context = click.Context(command, info_name=path[-1], parent=parent)
    yield path, command
    for name in command.list_commands(context) if isinstance(command, click.Group) else ():
        yield from walk(command.get_command(context, name), (*path, name), context)


WITH_EXAMPLES = [found for found in walk(edgectl, ("edgectl",)) if found[1].epilog]


@pytest.mark.parametrize(
    "path, command", WITH_EXAMPLES, ids=[" ".join(path[1:]) for path, _ in WITH_EXAMPLES]
)
def test_examples_are_of_the_command_and_can_be_typed(path, command):
    """Of their options and the forms of their values; what is behind > or < is the shell's."""
    words = shlex.split(re.split(" [<>] ", command.epilog.removeprefix("For example: "))[0])
    words = words[words.index("edgectl") :]
    assert tuple(words[: len(path)]) == path
    command.make_context(path[-1], words[len(path) :])


def test_version_names_what_a_bug_report_needs(capsys):
    assert main(["version"]) == 0
    lines = dict(line.split(" ", 1) for line in capsys.readouterr().out.splitlines())
    assert {"anycast-edge", "python", "linux", "aioquic", "exabgp", "pyroute2"} == set(lines)


@pytest.mark.parametrize("flags, level", [([], "WARNING"), (["-v"], "INFO"), (["-vvv"], "DEBUG")])
def test_verbosity_sets_the_log_level(plant, monkeypatch, flags, level):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    plant(lambda: None)
    main([*flags, "planted"])
    assert logging.getLogger().level == logging.getLevelName(level)
