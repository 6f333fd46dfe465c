"""What the demo agent needs beyond a plain installation."""

import shutil
from importlib.util import find_spec

from edge.errors import UsageError

_LIBRARIES = ("pocketsphinx", "webrtcvad")
_EXTRA = "pip install 'anycast-edge[demo]'"
_PROGRAM = "flite"


def require_installed() -> None:
    """Raise `UsageError` that names everything that is missing, and how to get it."""
    missing = [f"{library} ({_EXTRA})" for library in _LIBRARIES if find_spec(library) is None]
    if shutil.which(_PROGRAM) is None:
        missing.append(f"{_PROGRAM} (apt-get install {_PROGRAM})")
    if missing:
        raise UsageError(f"backend 'demo': not installed: {', '.join(missing)}")
