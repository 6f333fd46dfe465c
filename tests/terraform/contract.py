"""The schema of the output `edge_nodes`, with formats checked, too."""

import json
from typing import Any

from jsonschema import Draft202012Validator
from terraform.harness import TERRAFORM

SCHEMA = json.loads((TERRAFORM / "contract" / "edge_nodes.schema.json").read_text())


def objections(edge_nodes: Any) -> list[str]:
    """What does not fit, and where; empty when all does."""
    validator = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(edge_nodes)]
