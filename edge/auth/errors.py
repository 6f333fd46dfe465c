"""What a caller is told that gets no call."""

from edge.errors import RefusedError


class Unauthorized(RefusedError):
    """This caller gets no call; the text says why, and is sent to it."""
