"""Sphinx configuration. `make docs` builds with warnings as errors; nothing here reaches for the network."""

import sys
from pathlib import Path

import edge

sys.path.append(str(Path(__file__).parent / "_ext"))

project = "anycast-edge"
author = "the anycast-edge authors"
copyright = "2026, the anycast-edge authors"
release = edge.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_click",
    "tables",
    "ladder_diagram",
    "item_diagram",
    "sequence_diagram",
]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"anycast-edge {release}"
html_copy_source = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3  # so that one page can link to a section of another

autodoc_member_order = "bysource"
# Pages may only link to what is there. Signatures name types that have no page, and need none.
nitpick_ignore_regex = [("py:.*", ".*")]
