"""What the documentation tells a stranger to type, open or copy must be there."""

import re
import shlex
import typing
from itertools import groupby
from pathlib import Path

import click
import pytest

from bgp.table import TableEvent
from edge.cli.root import edgectl
from edge.runtime import metric_table

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *ROOT.glob("*.md"),
    *(page for folder in ("docs", "terraform", "ansible") for page in (ROOT / folder).rglob("*.md")),
]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

# What a reader would type: a line of a console block, or a code span.
TYPED = r"(?:^\$ (?:\S*/)?|`(?:\S*/)?)"

# The whole of it: a line with those that go on behind a backslash, or a span.
SHOWN = re.compile(r"^ *\$ (?P<line>(?:[^\n\\]|\\\n|\\.)*)|`(?P<span>[^`\n]+)`", re.MULTILINE)


def mentions(pattern: str) -> list[tuple[str, str]]:
    """Page and match, of ``pattern`` where a page shows it as something to type."""
    compiled = re.compile(TYPED + pattern, re.MULTILINE)
    return [(page.name, found) for page in PAGES for found in compiled.findall(page.read_text())]


def test_every_make_target_that_is_named_exists():
    named = [
        (page, target)
        for page, words in mentions(r"make((?: [a-z]+(?:-[a-z]+)*)+)")
        for target in words.split()
    ]
    assert len(named) > 5
    assert [(page, target) for page, target in named if target not in TARGETS] == []


def test_every_edgectl_line_is_one_that_edgectl_takes():
    lines = list(edgectl_lines())
    assert len(lines) > 300
    assert [
        (page, line, why) for page, line, words, whole in lines for why in _objections(words, whole=whole)
    ] == []


def test_every_document_that_a_command_prints_is_explained():
    sources = [path.read_text() for path in (ROOT / "edge" / "cli").glob("*.py")]
    kinds = {kind for text in sources for kind in re.findall(r'"kind": "(\w+)"', text)}
    assert len(kinds) > 10
    reference = "".join(path.read_text() for path in (ROOT / "docs" / "reference").glob("*.md"))
    assert [kind for kind in sorted(kinds) if f"`{kind}`" not in reference] == []


@pytest.mark.parametrize(
    "line, why",
    [
        ("drain ams-1 --deadlin 10m", "No such option '--deadlin'. Did you mean '--deadline'?"),
        ("drain ams-1 --deadline", "Option '--deadline' requires an argument."),
        ("keys list FILE", "no command list"),
        ("keys show", "file is missing"),
        ("keys show ring.toml other.toml", "other.toml: one too many"),
        ("status -o xml", "'xml' is not one of 'table', 'json', 'yaml'."),
        ("--timeout soon status", "'soon' is not a valid float range."),
    ],
)
def test_a_line_that_edgectl_would_not_take_is_seen(line, why):
    assert why in list(_objections(line.split(), whole=True))


def edgectl_lines():
    """Page, line, what follows `edgectl` in it, and whether that is all of it: a code span may name the command alone."""
    for page in PAGES:
        for found in SHOWN.finditer(page.read_text()):
            line = (found["line"] or found["span"]).replace("\\\n", " ")
            if "edgectl" not in line:
                continue
            lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&<>")
            lexer.whitespace_split = True
            for is_mark, words in groupby(lexer, lambda word: set(word) <= set("|;&<>")):
                command = list(words)
                at = next((n for n, word in enumerate(command) if word.rpartition("/")[2] == "edgectl"), None)
                if not is_mark and at is not None:
                    yield page.name, line, command[at + 1 :], found["line"] is not None


def _objections(words, *, whole):
    """What edgectl itself would say, short of doing it; files need not be there, and a word in capitals stands for any."""
    command, context, rest = edgectl, click.Context(edgectl), list(words)
    try:
        while isinstance(command, click.Group):
            parser = command.make_parser(context)
            parser.allow_interspersed_args = False
            given, rest, _ = parser.parse_args(args=rest)
            yield from _values(command, given, context, whole=False)
            if not rest:
                return
            name, *rest = rest
            if (found := command.get_command(context, name)) is None:
                yield f"no command {name}"
                return
            command, context = found, click.Context(found, parent=context, info_name=name)
        if command.context_settings.get("ignore_unknown_options"):
            # What follows is the command line of another program, which may be ours again.
            if "edgectl" in rest:
                yield from _objections(rest[rest.index("edgectl") + 1 :], whole=whole)
            return
        given, rest, _ = command.make_parser(context).parse_args(args=rest)
    except click.BadOptionUsage as error:
        if whole or not words[-1].startswith("-"):
            yield error.format_message()
        return
    except click.UsageError as error:
        yield error.format_message()
        return
    yield from (f"{word}: one too many" for word in rest)
    yield from _values(command, given, context, whole=whole)


def _values(command, given, context, *, whole):
    if "help" in given:
        return
    for parameter in command.params:
        value = given.get(parameter.name)
        values = value if isinstance(value, (list, tuple)) else [value]
        values = [one for one in values if isinstance(one, str)]
        if parameter.required and whole and not values:
            yield f"{parameter.name} is missing"
        for one in values:
            if isinstance(parameter.type, (click.Path, click.File)) or re.fullmatch(
                r"[A-Z][A-Z0-9-]*|[$@].*", one
            ):
                continue
            try:
                parameter.type.convert(one, parameter, context)
            except click.UsageError as error:
                yield error.message


def test_every_metric_that_a_page_names_is_served():
    """Of those that a node or a rule makes: what Terraform and Ansible call so is theirs."""
    theirs = {"edge_nodes", "edge_release_archive"}
    pages = [
        *(ROOT / "docs" / "runbooks").glob("*.md"),
        *(ROOT / "docs" / "reference").glob("*.md"),
        *(ROOT / "docs" / "tutorial").glob("*.md"),
    ]
    named = {
        (page.name, name) for page in pages for name in re.findall(r"\bedge_[a-z0-9_]+", page.read_text())
    }
    served = {
        f"{one.name}{part}"
        for one in metric_table.METRICS
        for part in (("_bucket", "_count", "_sum") if isinstance(one, metric_table.Histogram) else ("",))
    } | {one.name for one in metric_table.METRICS}
    assert len(named) > 10
    assert {(page, name) for page, name in named if name not in served | theirs} == set()


def test_every_event_that_a_runbook_looks_for_is_logged():
    sources = "\n".join(
        path.read_text() for folder in ("edge", "bgp") for path in (ROOT / folder).rglob("*.py")
    )
    # What the speaker tells is logged by the name of its class.
    logged = set(re.findall(r"event=(\w+)", sources)) | {one.__name__ for one in typing.get_args(TableEvent)}
    named = [
        (page.name, event)
        for page in (ROOT / "docs" / "runbooks").glob("*.md")
        for event in re.findall(r"event=(\w+)", page.read_text())
    ]
    assert named
    assert [(page, event) for page, event in named if event not in logged] == []


def test_links_of_the_pages_outside_the_documentation_lead_somewhere():
    for page in ROOT.glob("*.md"):
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
