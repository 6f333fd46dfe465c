"""Two nodes of a fleet in this process, for a page that is told to go from one to the other.

Their certificate is for the service's name and for no address, as a fleet has it.
"""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from worker_rig import worker_settings

from edge.lab.certificates import write_certificate
from edge.runtime.messages import AuthSettings, CallRecord
from edge.runtime.sockets import listen_tcp, open_udp
from edge.runtime.worker import Worker

PAGE, ADDRESSES = "127.0.0.1", ("127.0.0.2", "127.0.0.3")
NAME = "voice.example"


@dataclass(frozen=True)
class Node:
    worker: Worker
    url: str

    @property
    def calls(self) -> list[CallRecord]:
        return self.worker.calls.records()


@dataclass(frozen=True)
class Fleet:
    """``page`` is that of the first node; ``options`` make a browser trust the certificate over TCP, too."""

    page: str
    nodes: list[Node]
    options: list[str]


@contextlib.asynccontextmanager
async def fleet(directory: Path) -> AsyncIterator[Fleet]:
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    write_certificate(certificate, key, [NAME], [])
    pem = certificate.read_bytes(), key.read_bytes()
    plain = listen_tcp(PAGE, 0)
    page = f"{PAGE}:{plain.getsockname()[1]}"
    nodes = []
    for number, address in enumerate(ADDRESSES, 1):
        tcp = listen_tcp(address, 0)
        port = tcp.getsockname()[1]
        [udp] = open_udp(address, port)
        listeners = {address: tcp.detach()} | ({page: plain.detach()} if number == 1 else {})
        settings = worker_settings(
            *pem,
            node=f"n{number}",
            server_id=bytes(7) + bytes([number]),
            sockets={address: udp.detach()},
            listeners=listeners,
            plain_listener=page if number == 1 else "",
            page=number == 1,
            unicast_url=f"https://{address}:{port}",
            backends={"echo": {}, "story": {}},
            auth=AuthSettings("", None, (f"http://{page}",)),
        )
        worker = Worker(settings, asyncio.get_running_loop())
        worker.serve()
        nodes.append(Node(worker, settings.unicast_url))
    try:
        yield Fleet(f"http://{page}/", nodes, [f"--ignore-certificate-errors-spki-list={_pin(pem[0])}"])
    finally:
        await asyncio.gather(*(node.worker.stop("the test is over") for node in nodes))


def _pin(certificate: bytes) -> str:
    key = x509.load_pem_x509_certificate(certificate).public_key()
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return base64.b64encode(digest.finalize()).decode()
