"""`make refresh-schemas`: writes the committed schemas anew from the true providers, which needs the registry.

For each provider it has Terraform install the version that its `.behaviour.json` names, prints the schema, and keeps of it
what the file had: the provider itself, and the resources and data sources that the modules use. `ForceNew` is not in what
Terraform prints; where a provider has changed it, `.behaviour.json` is changed by hand. Read the difference before it is
committed: it is what the providers changed, or what was wrong here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from terraform.harness import PROVIDERS, address, version
from terraform.schema_files import SCHEMAS, as_text, cut_down, load

MAIN = """
terraform {{
  required_providers {{
    {name} = {{ source = "{source}", version = "{version}" }}
  }}
}}
"""


def refreshed(provider: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """What the provider's file should have in it; Terraform is run with this environment."""
    source = address(provider).removeprefix("registry.terraform.io/")
    kept = load(provider)["provider_schemas"][address(provider)]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "main.tf").write_text(
            MAIN.format(name=source.rpartition("/")[2], source=source, version=version(provider))
        )
        terraform = ["terraform", f"-chdir={folder}"]
        subprocess.run([*terraform, "init"], env=environment, check=True, stdout=subprocess.DEVNULL)
        printed = subprocess.run(
            [*terraform, "providers", "schema", "-json"], env=environment, check=True, stdout=subprocess.PIPE
        )
    return cut_down(
        json.loads(printed.stdout),
        address(provider),
        kept["resource_schemas"].keys(),
        kept["data_source_schemas"].keys(),
    )


def main() -> None:
    for provider in PROVIDERS:
        file = SCHEMAS / f"{provider}.json"
        before, after = file.read_text(), as_text(refreshed(provider, os.environ)) + "\n"
        file.write_text(after)
        said = "as it was" if before == after else "changed; see git diff"
        sys.stdout.write(f"{file.name}: {said}\n")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(error.cmd)}: exit code {error.returncode}; is the registry within reach?")
