"""Variables and outputs of our modules, as their files declare them."""

from __future__ import annotations

from typing import Any

import hcl2
from terraform.harness import TERRAFORM


def variables(inner: str) -> dict[str, dict[str, Any]]:
    """By name; ``inner``: `modules/…` or `examples/…`."""
    return _blocks(inner, "variable")


def outputs(inner: str) -> dict[str, dict[str, Any]]:
    return _blocks(inner, "output")


def _blocks(inner: str, kind: str) -> dict[str, dict[str, Any]]:
    found = {}
    for file in sorted((TERRAFORM / inner).glob("*.tf")):
        for block in hcl2.loads(file.read_text()).get(kind, ()):
            for name, body in block.items():
                found[name.strip('"')] = _plain(body)
    return found


def _plain(value: Any) -> Any:
    """Without the quotes that strings have in the source, and a heredoc as the text that it means."""
    match value:
        case dict():
            return {key: _plain(item) for key, item in value.items() if key != "__is_block__"}
        case list():
            return [_plain(item) for item in value]
        case str() if value.startswith('"<<-EOT'):
            return " ".join(value.removeprefix('"<<-EOT').removesuffix('EOT"').split())
        case str() if value.startswith('"'):
            return value[1:-1].replace('\\"', '"')
    return value
