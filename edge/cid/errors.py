"""What can be wrong with a connection ID, sorted by what the caller does about it."""

from edge.errors import EdgeError, UsageError


class CidError(EdgeError):
    """Anything this package refuses; `decode` raises nothing else, whatever the bytes are."""


class CidConfigError(CidError, UsageError):
    """A configuration, or a value given to encode under it, is outside what QUIC-LB allows."""


class MalformedCid(CidError, UsageError):
    """The rotation bits name a live configuration, but the bytes are not of its shape."""


class UnroutableCid(CidError, UsageError):
    """The rotation bits name no live configuration: codepoint 0b111, or one nobody configured."""


class NonceExhausted(CidError):
    """This issuer has used every nonce it owns under its key; only a new configuration helps."""
