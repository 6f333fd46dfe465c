"""A router as people have them at home: behind it all have one address, and a port each while it remembers them. Pure."""

from __future__ import annotations

from edge.lab.rewriting import UDP, Address, read, readdressed

FIRST_PORT, LAST_PORT = 20_000, 60_000
_Inside = tuple[int, Address]


class Home:
    """What goes out gets a port of ``outside``, the same for all that comes from one socket; answers find back.

    `rebind` is a router that has forgotten: the next packet from a socket gets another port, and what still comes to the
    old one is dropped. It forgets no TCP connection.
    """

    def __init__(self, outside: str) -> None:
        self.bindings = 0
        """Made, since the beginning."""
        self._outside = outside
        self._port = FIRST_PORT - 1
        self._ports: dict[_Inside, int] = {}
        self._insides: dict[tuple[int, int], Address] = {}

    def translate(self, data: bytes, _now: float) -> bytes | None:
        """The packet as it goes on; None if it does not."""
        packet = read(data)
        if packet is None:
            return None
        if packet.destination[0] != self._outside:
            port = self._bound(packet.protocol, packet.source)
            return readdressed(data, source=(self._outside, port))
        inside = self._insides.get((packet.protocol, packet.destination[1]))
        return None if inside is None else readdressed(data, destination=inside)

    def rebind(self) -> None:
        """Forget every UDP binding."""
        self._ports = {inside: port for inside, port in self._ports.items() if inside[0] != UDP}
        self._insides = {outside: to for outside, to in self._insides.items() if outside[0] != UDP}

    def _bound(self, protocol: int, inside: Address) -> int:
        port = self._ports.get((protocol, inside))
        if port is None:
            self.bindings += 1
            port = self._port = self._port + 1 if self._port < LAST_PORT else FIRST_PORT
            self._ports[protocol, inside] = port
            self._insides[protocol, port] = inside
        return port
