"""Which web pages may open connections: those of this node, and those that the operator names.

A browser sends the origin of the page (RFC 6454) with every WebSocket, WebTransport session and cross-origin request.
Without this check any page that a user visits could spend that user's microphone and the operator's backend. Programs
that are not browsers send none, and could send any: they are not what this protects from.
"""

from collections.abc import Iterable
from ipaddress import ip_address

from cryptography import x509


class Origins:
    """``named`` are origins like ``https://app.example``; ``own`` host names are those that the node's certificate is for."""

    def __init__(self, named: Iterable[str] = (), own: Iterable[str] = ()) -> None:
        self._named = frozenset(origin.rstrip("/").lower() for origin in named)
        self._own = frozenset(name.lower() for name in own)

    @classmethod
    def of_certificate(cls, pem: bytes, named: Iterable[str] = ()) -> "Origins":
        """A node's own pages are served under the names of its certificate."""
        certificate = x509.load_pem_x509_certificates(pem)[0]
        try:
            alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return cls(named)
        names = alternatives.get_values_for_type(x509.DNSName)
        addresses = alternatives.get_values_for_type(x509.IPAddress)
        return cls(named, [*names, *map(str, addresses)])

    def allow(self, origin: str | None) -> bool:
        """None: no browser is behind it."""
        if origin is None or origin.lower() in self._named:
            return True
        scheme, separator, authority = origin.lower().partition("://")
        return bool(separator) and scheme == "https" and self._is_own(_host(authority))

    def _is_own(self, host: str) -> bool:
        parent = host.partition(".")[2]
        return host in self._own or f"*.{parent}" in self._own


def _host(authority: str) -> str:
    """Without its port; an address in its shortest form, as `str` of a certificate's gives it."""
    host = authority.rpartition(":")[0] if authority.count(":") == 1 else authority
    if host.startswith("["):
        host = host.partition("]")[0].removeprefix("[")
    try:
        return str(ip_address(host))
    except ValueError:
        return host
