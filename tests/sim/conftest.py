"""The simulated world is a module beside its tests; other tiers import it as `sim.world` too.

A test that asks for ``world_seed`` runs once for each of `SEEDS`, and its name says which one failed. To look for
more: ``SIM_SEEDS="11 12 13" pytest tests/sim``. A seed that found a bug is added to the list.
"""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

SEEDS = (1, 3)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "world_seed" in metafunc.fixturenames:
        seeds = [int(seed) for seed in os.environ.get("SIM_SEEDS", "").split()] or SEEDS
        metafunc.parametrize("world_seed", seeds, ids=lambda seed: f"seed={seed}")
