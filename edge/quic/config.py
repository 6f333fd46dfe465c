"""What an endpoint and a client are told before they begin."""

from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from edge.errors import UsageError
from edge.quic.tickets import Ticket

PrivateKey = (
    rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
)


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate, those that vouch for it, and its key."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    key: PrivateKey = field(repr=False)

    @classmethod
    def from_pem(cls, certificates: bytes, key: bytes) -> "Identity":
        """Read a PEM chain, leaf first, and its unencrypted key; raises `UsageError`."""
        try:
            leaf, *chain = x509.load_pem_x509_certificates(certificates)
        except ValueError as error:
            raise UsageError("certificate: not a PEM certificate chain") from error
        try:
            private_key = load_pem_private_key(key, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise UsageError("private key: not an unencrypted PEM key") from error
        if not isinstance(private_key, PrivateKey) or (
            isinstance(private_key, ec.EllipticCurvePrivateKey)
            and not isinstance(private_key.curve, ec.SECP256R1 | ec.SECP384R1)
        ):
            raise UsageError("private key: must be RSA, ECDSA on P-256 or P-384, Ed25519 or Ed448")
        encoding = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if private_key.public_key().public_bytes(*encoding) != leaf.public_key().public_bytes(*encoding):
            raise UsageError("private key: does not belong to the first certificate")
        return cls(leaf, tuple(chain), private_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig:
    """Times in seconds, addresses textual.

    ``service`` are the local addresses that other nodes have too. Clients that arrive on one are offered
    ``preferred_v4`` and ``preferred_v6`` (host, port), which only this node has.
    """

    identity: Identity
    alpn: tuple[str, ...]
    service: frozenset[str] = frozenset()
    preferred_v4: tuple[str, int] | None = None
    preferred_v6: tuple[str, int] | None = None
    idle_timeout: float = 30.0
    handshake_timeout: float = 10.0
    max_connections: int = 1000
    max_handshakes: int = 256
    """Begun and not completed. From half of it on, newcomers have to prove their address."""
    per_address: int | None = None
    """Connections of one client (`edge.overload.clients.client_of`) whose address is proved; None: any number."""
    per_address_per_s: float = 8.0
    """How often one client may begin for good; twice as many at once. A handshake takes some milliseconds, in which
    nobody else is served."""
    packets_per_s: float | None = None
    """Packets of one connection that are read; what is beyond that is dropped as a network would. None: all."""
    packets_at_once: int = 4000
    """How many may come at once: megabytes, for what was recorded is said as fast as the network takes it."""
    max_datagram_frame_size: int | None = 65535
    """What peers may send as an unreliable datagram; None for none at all."""
    initial_rtt: float = 0.1
    """Round-trip time assumed until it has been measured."""
    early_data_alpn: str | None = None
    """The protocol whose clients are given tickets and may send early data; None for no such protocol."""
    max_tickets: int = 65_536
    """Tickets, and as many address tokens, whose use is remembered; each takes a few hundred bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """``server_name`` is what the certificate must be for. ``ca_pem`` or ``ca_file`` replaces the public CAs.

    ``connection_id_length`` 0 saves bytes in every packet that arrives, and is what browsers do; the client
    then cannot be told apart from another one behind the same address and port. With a ``ticket``, from an earlier
    connection to the same server, what is written before the handshake is complete goes out as early data.
    """

    server_name: str
    alpn: tuple[str, ...]
    ca_pem: bytes | None = None
    ca_file: str | None = None
    verify: bool = True
    idle_timeout: float = 30.0
    max_datagram_frame_size: int | None = 65535
    initial_rtt: float = 0.05
    """Until one has been measured, what is lost is sent again after twice this. With 10 % of packets lost this
    halves the wait of the unlucky; on a path of more than 100 ms it costs each connection 2 kB."""
    connection_id_length: int = 8
    ticket: Ticket | None = None
    address_token: bytes = field(default=b"", repr=False)
    """From an earlier connection to the same server and from the same address: it need not ask for proof again."""
    migrate: bool = True
    """Follow the server to its preferred address; many implementations do not."""
