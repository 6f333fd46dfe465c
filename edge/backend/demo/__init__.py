"""The demo agent: listens, understands and answers without a network. Nothing is downloaded, nothing leaves the node.

    caller's Opus --ear--> speech and its end --listener--> words --intents--> sentences --flite--> Opus

It is there to be talked to and interrupted while the rest of the path is looked at; it knows a table of sentences
and one long story.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """`DemoBackend`, if all that it needs is installed: a node shall refuse to start, not its first call.

    Raises `UsageError` that says what to install.
    """
    if name != "DemoBackend":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from edge.backend.demo.installed import require_installed

    require_installed()
    from edge.backend.demo.agent import DemoBackend

    return DemoBackend
