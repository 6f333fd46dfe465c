"""Runs every bench_*.py beside this file, prints one table and writes build/bench/bench.json.

A benchmark is a module with a docstring that states its method and a function `run()` that returns rows (see
:class:`Row`). It measures the project beside its peers in the same run and on the same work, in process CPU
time, and checks that the work was delivered. A row whose work was not delivered is shown without its figure:
what was not done is quick.

    python tests/bench/run.py            all of them
    python tests/bench/run.py cid quic   bench_cid.py and bench_quic.py
    python tests/bench/run.py --quick voice   less of one that takes minutes
"""

import argparse
import dataclasses
import importlib.util
import inspect
import json
import os
import platform
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parent.parent / "build" / "bench" / "bench.json"
COLUMNS = ["group", "name", "value", "unit", "ratio", "relative to", "note"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. ``relative_to`` names another row of its group; ``ratio`` is value / that row's value."""

    group: str
    name: str
    value: float
    unit: str
    delivered: bool
    relative_to: str | None = None
    ratio: float | None = None
    note: str = ""


def with_ratios(rows: Sequence[Row]) -> list[Row]:
    """Fill in the ratio of each row that names another, where both delivered."""
    by_name = {(row.group, row.name): row for row in rows}
    if len(by_name) != len(rows):
        raise ValueError("two rows of one group have the same name")

    def ratio(row: Row) -> float | None:
        if row.relative_to is None:
            return None
        base = by_name[row.group, row.relative_to]
        return row.value / base.value if row.delivered and base.delivered else None

    return [dataclasses.replace(row, ratio=ratio(row)) for row in rows]


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text."""
    cells = [COLUMNS, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    return "\n".join(line.rstrip() for line in lines)


def _cells(row: Row) -> list[str]:
    digits = ",.0f" if abs(row.value) >= 100 else ".3g"
    value = format(row.value, digits) if row.delivered else "not delivered"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}x"
    return [row.group, row.name, value, row.unit, ratio, row.relative_to or "", row.note]


def machine() -> dict[str, object]:
    """What the figures depend on."""
    models = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    ]
    return {
        "cpu": models[0].partition(":")[2].strip() if models else platform.machine(),
        "cores": os.cpu_count(),
        "linux": platform.release(),
        "python": platform.python_version(),
        "aioquic": metadata.version("aioquic"),
    }


def load(path: Path) -> ModuleType:
    """Import a file that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # where dataclasses and pickle look for a module's names
    spec.loader.exec_module(module)
    return module


def main(names: Sequence[str], folder: Path = HERE, output: Path = OUTPUT, *, quick: bool = False) -> None:
    paths = [folder / f"bench_{name}.py" for name in names] if names else sorted(folder.glob("bench_*.py"))
    methods = {}
    rows: list[Row] = []
    for path in paths:
        print(f"{path.stem} ...", file=sys.stderr, flush=True)
        benchmark = load(path)
        methods[path.stem] = (benchmark.__doc__ or "").strip()
        options = {"quick": quick} if "quick" in inspect.signature(benchmark.run).parameters else {}
        rows += [Row(**row) for row in benchmark.run(**options)]
    rows = with_ratios(rows)
    print(table(rows))
    report = {
        "apiVersion": "edge/v1",
        "kind": "BenchReport",
        "machine": machine(),
        "methods": methods,
        "rows": [dataclasses.asdict(row) for row in rows],
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=2) + "\n")
    print(f"written: {output}", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="*", help="bench_NAME.py; all when none is given")
    parser.add_argument(
        "--quick", action="store_true", help="where a benchmark has less to offer, measure less"
    )
    arguments = parser.parse_args()
    main(arguments.name, quick=arguments.quick)
