"""Run by hand, it writes the tables of inputs and outputs in the modules' READMEs; a test says when that is due."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from terraform.harness import TERRAFORM
from terraform.hcl import outputs, variables

BEGIN, END = "<!-- written by tests/terraform/readmes.py -->", "<!-- to here -->"
FOLDERS = sorted(
    path.relative_to(TERRAFORM).as_posix()
    for kind in ("modules", "examples")
    for path in (TERRAFORM / kind).iterdir()
)


def tables(inner: str) -> str:
    """Markdown: what goes in, what comes out."""
    lines = ["## Inputs", "", "| name | type | default | |", "|---|---|---|---|"]
    for name, variable in variables(inner).items():
        default = _as_code(variable["default"]) if "default" in variable else "required"
        lines.append(
            f"| `{name}` | {_type(variable['type'])} | {default} | {_in_a_cell(variable['description'])} |"
        )
    lines += ["", "## Outputs", "", "| name | |", "|---|---|"]
    lines += [
        f"| `{name}` | {_in_a_cell(output['description'])} |" for name, output in outputs(inner).items()
    ]
    return "\n".join(lines)


def _type(expression: str) -> str:
    """Objects with their fields, each on a line of its own in the cell."""
    text = expression.removeprefix("${").removesuffix("}") if expression.startswith("${") else expression
    if "object({" not in text:
        return f"`{text}`"
    outer, _, rest = text.partition("object({")
    fields = _split(rest.rpartition("})")[0])
    return f"`{outer}object`<br>" + "<br>".join(f"`{field}`" for field in fields)


def _split(text: str) -> list[str]:
    """At the commas that are in no bracket."""
    parts, depth, start = [], 0, 0
    for index, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append(text[start:index].strip())
            start = index + 1
    return [*parts, text[start:].strip()]


def _as_code(default: Any) -> str:
    return f"`{json.dumps(default)}`"


def _in_a_cell(text: str) -> str:
    return text.replace("|", "\\|")


def page(path: Path) -> str:
    """A README as it should be."""
    inner = path.parent.relative_to(TERRAFORM).as_posix()
    text = path.read_text()
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{path}: there is no {BEGIN} … {END} to write between")
    return pattern.sub(lambda _: f"{BEGIN}\n\n{tables(inner)}\n\n{END}", text)


if __name__ == "__main__":
    for folder in FOLDERS:
        readme = TERRAFORM / folder / "README.md"
        readme.write_text(page(readme))
