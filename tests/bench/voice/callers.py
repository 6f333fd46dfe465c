"""Callers of every kind, to whom speech is given packet by packet; the same for who measures.

`connect` says a first packet as early as the protocol lets it, and returns when the connection stands.
"""

import asyncio
import contextlib
import ssl
from abc import ABC, abstractmethod
from fractions import Fraction
from pathlib import Path
from typing import Any

import aiohttp
import aiortc
import av
from voice.link import WEBRTC_PORT, WSS_PORT, Places
from voice.peers import CLOCK_HZ, TICKS
from voice_stack import VoiceStack
from websockets.asyncio.client import ClientConnection, connect

from edge.client.leg import Leg
from edge.client.websocket_leg import WebSocketLeg
from edge.quic import Event, HandshakeCompleted, Ticket, TicketIssued
from edge.runtime.dialer import Target, dial
from edge.runtime.driver import Driver
from edge.voice import CallerSession, Deadlines, Preset

DEAD_AFTER_S = 20.0
"""Nobody here is given up because a link is bad."""
DIAL_TIMEOUT_S = 15.0


class Caller(ABC):
    """``label`` is what the server calls the call in its log."""

    def __init__(self, places: Places, label: str) -> None:
        self.places = places
        self.label = label

    @abstractmethod
    async def prepare(self) -> None:
        """What can be done before anybody wants to speak."""

    @abstractmethod
    async def connect(self, first: bytes | None = None) -> None: ...

    @abstractmethod
    def say(self, packet: bytes) -> None:
        """The next 20 ms."""

    @abstractmethod
    def end_sentence(self) -> None:
        """A sentence is over."""

    @abstractmethod
    async def hang_up(self) -> None: ...

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.places.certificate)


# --- ours ------------------------------------------------------------------------------------------------


class EdgeCaller(Caller):
    """``deadline``: a preset, or milliseconds of the uplink."""

    def __init__(self, places: Places, label: str, deadline: Preset | int = "chat") -> None:
        super().__init__(places, label)
        self.target = Target(
            host=places.service,
            port=places.port,
            server_name=places.server_name,
            ca=Path(places.certificate),
        )
        self._deadline = Deadlines(deadline, None) if isinstance(deadline, int) else deadline
        self.session: CallerSession

    async def prepare(self) -> None:
        pass

    def begin(self, first: bytes | None) -> CallerSession:
        now = asyncio.get_running_loop().time()
        self.session = CallerSession(now, deadline=self._deadline, fields={"label": self.label})
        if first is not None:
            self.session.send_frames([first], now)
        return self.session

    def say(self, packet: bytes) -> None:
        self.session.send_frames([packet], asyncio.get_running_loop().time())
        self.wake()

    def end_sentence(self) -> None:
        self.session.commit(asyncio.get_running_loop().time())
        self.wake()

    @abstractmethod
    def wake(self) -> None: ...


class TicketStack(VoiceStack):
    """Keeps the last ticket."""

    ticket: Ticket | None = None

    def deliver(self, event: Event, session: CallerSession, now: float) -> None:
        if isinstance(event, TicketIssued):
            self.ticket = event.ticket
        super().deliver(event, session, now)


class QuicCaller(EdgeCaller):
    """With a ``ticket`` the first packet leaves in early data."""

    def __init__(
        self, places: Places, label: str, deadline: Preset | int = "chat", ticket: Ticket | None = None
    ) -> None:
        super().__init__(places, label, deadline)
        self.early_data = False
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self._offered = ticket
        self._driver: Driver[TicketStack]

    async def connect(self, first: bytes | None = None) -> None:
        session = self.begin(first)
        dialed = await dial(
            self.target,
            stack=lambda connection: TicketStack(connection, session, DEAD_AFTER_S),
            on_event=self._hear,
            ticket=self._offered,
            timeout_s=DIAL_TIMEOUT_S,
        )
        self._driver = dialed.driver

    @property
    def ticket(self) -> Ticket | None:
        """The last that the edge gave."""
        return self._driver.stack.ticket

    def wake(self) -> None:
        self._driver.wake()

    async def hang_up(self) -> None:
        self.session.close()
        self._driver.leave()

    def _hear(self, event: Any) -> None:
        if isinstance(event, HandshakeCompleted):
            self.early_data = event.early_data_accepted
        self.events.put_nowait(event)


class WebSocketCaller(EdgeCaller):
    """Our session on a WebSocket."""

    async def connect(self, first: bytes | None = None) -> None:
        self._leg = await WebSocketLeg.dial(self.target, timeout_s=DIAL_TIMEOUT_S)
        self.begin(first)
        self._leg.rider = self
        self.wake()

    def wake(self) -> None:
        leg: Leg = self._leg
        while self.session.next_event() is not None:
            pass
        while (action := self.session.next_action()) is not None:
            leg.carry(action)
        leg.flush()

    async def hang_up(self) -> None:
        self.session.close()
        self.wake()
        await self._leg.gone()


# --- peers -----------------------------------------------------------------------------------------------


class PeerCaller(Caller):
    """To whom speech is one long stream."""

    async def prepare(self) -> None:
        pass

    def end_sentence(self) -> None:
        pass


class WssCaller(PeerCaller):
    """Each packet is one binary message."""

    _connection: ClientConnection

    async def connect(self, first: bytes | None = None) -> None:
        url = f"wss://{self.places.peers}:{WSS_PORT}/{self.label}"
        self._connection = await connect(url, ssl=self.trust, compression=None, open_timeout=DIAL_TIMEOUT_S)
        self._unsent: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._sending = asyncio.create_task(self._send())
        if first is not None:
            self.say(first)

    def say(self, packet: bytes) -> None:
        self._unsent.put_nowait(packet)

    async def hang_up(self) -> None:
        self._unsent.put_nowait(None)
        await self._sending
        await self._connection.close()

    async def _send(self) -> None:
        while (packet := await self._unsent.get()) is not None:
            await self._connection.send(packet)


class Microphone(aiortc.MediaStreamTrack):
    """A track of packets that are encoded already: aiortc sends them as they are."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.packets: asyncio.Queue[bytes] = asyncio.Queue()
        self._count = 0

    async def recv(self) -> av.Packet:
        packet = av.Packet(await self.packets.get())
        packet.pts, packet.time_base = self._count * TICKS, Fraction(1, CLOCK_HZ)
        self._count += 1
        return packet


class WebRtcCaller(PeerCaller):
    """aiortc. Its certificate, its sockets and its offer are made before anybody wants to speak.

    ``warm``: the HTTPS connection for the offer stands by then, too.
    """

    def __init__(self, places: Places, label: str, *, warm: bool = False) -> None:
        super().__init__(places, label)
        self._warm = warm
        self._url = f"https://{places.peers}:{WEBRTC_PORT}"

    async def prepare(self) -> None:
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self.trust))
        if self._warm:
            async with self._http.get(self._url) as greeting:
                await greeting.read()
        self._track = Microphone()
        self._peer = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
        self._peer.addTrack(self._track)
        await self._peer.setLocalDescription(await self._peer.createOffer())

    async def connect(self, first: bytes | None = None) -> None:
        if first is not None:
            self.say(first)
        up = asyncio.Event()

        @self._peer.on("connectionstatechange")
        def changed() -> None:
            if self._peer.connectionState == "connected":
                up.set()

        offer = self._peer.localDescription
        body = {"sdp": offer.sdp, "type": offer.type}
        async with self._http.post(f"{self._url}/{self.label}", json=body) as response:
            answer = await response.json()
        await self._peer.setRemoteDescription(aiortc.RTCSessionDescription(**answer))
        async with asyncio.timeout(DIAL_TIMEOUT_S):
            await up.wait()

    def say(self, packet: bytes) -> None:
        self._track.packets.put_nowait(packet)

    async def hang_up(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self._peer.close()
        await self._http.close()
