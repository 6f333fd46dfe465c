"""The simulated world of tests/sim is what these tests talk to the endpoint through."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
