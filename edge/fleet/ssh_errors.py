"""What ssh says when it fails, as one line with what to do."""

from __future__ import annotations

from collections.abc import Callable

from edge.errors import DeadlineError, EdgeError, UnreachableError

_CHANGED = "its host key is not the one that is known; compare it with the node's, then forget the old one: ssh-keygen -R {}"
_DENIED = "permission denied; see which keys it is offered: ssh -v {}"
_KNOWN: tuple[tuple[str, str, Callable[[str], EdgeError]], ...] = (
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", _CHANGED, UnreachableError),
    (
        "Host key verification failed",
        "its host key is not known; compare it once by hand: ssh {}",
        UnreachableError,
    ),
    ("Permission denied", _DENIED, UnreachableError),
    ("Too many authentication failures", _DENIED, UnreachableError),
    ("Could not resolve hostname", "its name is not known", UnreachableError),
    ("Connection refused", "connection refused", UnreachableError),
    ("No route to host", "no route to host", UnreachableError),
    ("Network is unreachable", "network is unreachable", UnreachableError),
    ("timed out", "no answer", DeadlineError),
)


def ssh_error(destination: str, stderr: bytes) -> EdgeError:
    """The first known reason in what ssh said, else its last line."""
    text = stderr.decode("utf-8", "replace")
    for sign, reason, kind in _KNOWN:
        if sign in text:
            return kind(f"ssh {destination}: {reason.format(destination)}")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return UnreachableError(f"ssh {destination}: {lines[-1] if lines else 'the connection ended'}")
