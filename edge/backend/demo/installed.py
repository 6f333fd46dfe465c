"""What the demo agent needs beyond a plain installation."""

import shutil
from importlib.util import find_spec

from edge.errors import UsageError

_LIBRARIES = ("pocketsphinx", "webrtcvad")
_EXTRA = "pip install 'anycast-edge[demo]'"
_PROGRAM = "flite"


def missing() -> dict[str, str]:
    """Everything that is not there, and how to get it."""
    remedies = {library: _EXTRA for library in _LIBRARIES if find_spec(library) is None}
    if shutil.which(_PROGRAM) is None:
        remedies[_PROGRAM] = f"apt-get install {_PROGRAM}"
    return remedies


def require_installed() -> None:
    """Raise `UsageError` that names everything that is `missing`."""
    if lacks := missing():
        named = ", ".join(f"{what} ({remedy})" for what, remedy in lacks.items())
        raise UsageError(f"backend 'demo': not installed: {named}")
