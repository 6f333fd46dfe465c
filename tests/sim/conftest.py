"""The simulated world is a module beside its tests; other tiers import it as `sim.world` too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
