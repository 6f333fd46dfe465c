"""What an endpoint has done since it began. Every field only grows."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    datagrams_in: int = 0
    datagrams_out: int = 0
    initials: int = 0
    """Initial packets of newcomers, whatever became of them."""
    handshakes_completed: int = 0
    handshakes_failed: int = 0
    migrated: int = 0
    """Connections that left the service address."""
    refused: int = 0
    crowded: int = 0
    """Those of them that came from an address with its share of connections, or too often."""
    retried: int = 0
    resets_sent: int = 0
    version_negotiations: int = 0
    misrouted: int = 0
    """Packets of connections of another node or worker, handed out as `PacketMisrouted`."""
    engine_errors: int = 0
    """Connections ended because the engine raised on what they received."""
    dropped_malformed: int = 0
    dropped_small_initial: int = 0
    """Initials in a datagram of less than 1200 bytes, or with a connection ID of less than 8."""
    dropped_undecryptable: int = 0
    """Initials of newcomers that were not encrypted as their connection ID demands."""
    dropped_unroutable: int = 0
    """No connection of ours, and the connection ID names no node."""
    dropped_dead: int = 0
    """For a connection that is gone, and not answered with a reset: too short, too many, or not 1-RTT."""
    dropped_looped: int = 0
    """Passed on to us, and not ours either."""
    dropped_newcomers: int = 0
    """Too many waited that may begin a connection."""
    dropped_excess: int = 0
    """Of connections that send more packets than one may."""
