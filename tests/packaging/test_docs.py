"""What the documentation tells a stranger to type, open or copy must be there."""

import re
from pathlib import Path

import click

from edge.cli.root import edgectl

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

# What a reader would type: a line of a console block, or a code span.
TYPED = r"(?:^\$ (?:\S*/)?|`(?:\S*/)?)"


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


def test_every_edgectl_command_and_option_that_is_named_exists():
    named = mentions(r"edgectl ([^`\n]+)")
    assert len(named) > 3
    assert [(page, text) for page, text in named if not _exists(text.split())] == []


def _exists(words: list[str]) -> bool:
    command: click.Command = edgectl
    context = click.Context(edgectl)
    for index, word in enumerate(words):
        if command.context_settings.get("ignore_unknown_options"):
            # What follows is the command line of another program, which may be ours again.
            return "edgectl" not in words[index:] or _exists(words[words.index("edgectl", index) + 1 :])
        if word.startswith("-"):
            known = {
                flag for parameter in command.params for flag in [*parameter.opts, *parameter.secondary_opts]
            }
            if word not in known | {"--help", "-h"}:
                return False
        elif isinstance(command, click.Group):
            found = command.get_command(context, word)
            if found is None:
                return False
            command = found
    return True


def test_links_of_the_pages_outside_the_documentation_lead_somewhere():
    for page in ROOT.glob("*.md"):
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_document_that_a_command_prints_is_explained():
    sources = [path.read_text() for path in (ROOT / "edge" / "cli").glob("*.py")]
    kinds = {kind for text in sources for kind in re.findall(r'"kind": "(\w+)"', text)}
    assert len(kinds) > 10
    reference = "".join(path.read_text() for path in (ROOT / "docs" / "reference").glob("*.md"))
    assert [kind for kind in sorted(kinds) if f"`{kind}`" not in reference] == []
