"""What a caller says when nobody is at the microphone: recordings beside the words they speak.

`hello` is 2 to 4 seconds, `train` about 8; `QUESTIONS` are those that the backend "demo" has an answer to. README.md says
where they come from.
"""

from importlib.resources import files
from pathlib import Path

NAMES = ("hello", "train")
QUESTIONS = ("capital", "tell-story", "last-words")


def recording(name: str) -> Path:
    """The Ogg Opus file of one of `NAMES` or `QUESTIONS`, for `edge.backend.opusfile.read_packets`."""
    return Path(str(files(__name__))) / f"{name}.opus"
