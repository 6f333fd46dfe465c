"""How the committed schemas are kept: as Terraform prints them, cut down to what the modules use, a line for an attribute."""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import msgspec

SCHEMAS = Path(__file__).with_name("schemas")
WIDTH = 110
# What people write for people; it is the provider's text, and no test needs it.
PROSE = {"description", "description_kind", "deprecated", "deprecation_message"}


def load(name: str) -> dict[str, Any]:
    """``name`` is a provider's file without its ending, or that with `.behaviour`."""
    return msgspec.json.decode((SCHEMAS / f"{name}.json").read_bytes())


def cut_down(printed: Mapping[str, Any], address: str, resources: Set[str], data: Set[str]) -> dict[str, Any]:
    """Of what `terraform providers schema -json` printed: one provider, these resources and data sources, no prose.

    Raises KeyError that names a resource which the provider does not have (any more).
    """
    provider = printed["provider_schemas"][address]
    kept = {
        "provider": provider["provider"],
        "resource_schemas": {name: provider["resource_schemas"][name] for name in resources},
        "data_source_schemas": {name: provider.get("data_source_schemas", {})[name] for name in data},
    }
    return {
        "format_version": printed["format_version"],
        "provider_schemas": {address: _without_prose(kept)},
    }


def _without_prose(value: Any) -> Any:
    """Attributes may be called `description`: below `attributes` and `block_types`, keys are names and stay."""
    if not isinstance(value, dict):
        return value
    return {
        key: {name: _without_prose(inner) for name, inner in item.items()}
        if key in {"attributes", "block_types", "resource_schemas", "data_source_schemas"}
        else _without_prose(item)
        for key, item in value.items()
        if key not in PROSE
    }


def as_text(value: Any, indent: str = "", before: int = 0) -> str:
    """JSON with sorted keys, in which what fits on a line is on one; ``before``: how much of it is taken."""
    line = msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=0).decode()
    if len(indent) + before + len(line) < WIDTH or not value or not isinstance(value, dict | list):
        return line
    inner = indent + "  "
    if isinstance(value, list):
        return "[\n" + ",\n".join(inner + as_text(item, inner) for item in value) + f"\n{indent}]"
    items = (f'{inner}"{key}": {as_text(item, inner, len(key) + 4)}' for key, item in sorted(value.items()))
    return "{\n" + ",\n".join(items) + f"\n{indent}}}"
