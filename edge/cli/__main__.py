"""``python -m edge.cli`` is ``edgectl``, for where the script is not on the path."""

import sys

from edge.cli import main

sys.exit(main())
