"""The self-probe: does a caller who comes to the service address get an answer?

A real QUIC handshake through each service address, over the kernel's loopback path: it fails when the address
is gone, the socket is not read, the worker hangs, or TLS does not work. A node that answers "too busy" is not
broken, so a refusal passes. Who the certificate is for is not the question here; callers check that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from edge.runtime.dialer import ServerBusy, Target, dial

log = logging.getLogger("edge.probe")

ALPN = "h3"  # a probe is no call


class SelfProbe:
    """Probes all of ``addresses`` every ``interval_s``; one that gets no answer within ``timeout_s`` fails the round.

    ``passed`` and ``failed`` count rounds in a row, so that one of them is 0. ``on_round`` is told whether a
    round passed and how long it took, in seconds. ``handshakes`` is how many of the last round came to their end: who
    is told that the node is busy has passed, without one.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        port: int,
        *,
        interval_s: float,
        timeout_s: float,
        on_round: Callable[[bool, float], None],
    ) -> None:
        self.passed = 0
        self.failed = 0
        self.problem = ""
        self.handshakes = 0
        self._targets = [Target(host=address, port=port, insecure=True) for address in addresses]
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._on_round = on_round

    async def run(self) -> None:
        """Probe until cancelled. Behind a failure the next round does not wait for the whole interval."""
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            await self._round()
            took = clock() - began
            self._on_round(not self.failed, took)
            await asyncio.sleep((self._timeout_s if self.failed else self._interval_s) - took)

    async def _round(self) -> None:
        results = await asyncio.gather(*map(self._probe, self._targets), return_exceptions=True)
        problems = [str(result) for result in results if isinstance(result, BaseException)]
        self.handshakes = results.count(True)
        if problems:
            self.passed, self.failed = 0, self.failed + 1
            self.problem = problems[0]
            log.warning('event=self_probe_failed in_a_row=%d problem="%s"', self.failed, self.problem)
        else:
            self.passed, self.failed, self.problem = self.passed + 1, 0, ""

    async def _probe(self, target: Target) -> bool:
        """Whether there was a handshake. Raises what `dial` does, where there was no answer."""
        try:
            dialed = await dial(
                target,
                stack=lambda connection: connection,
                on_event=lambda _: None,
                alpn=ALPN,
                timeout_s=self._timeout_s,
            )
        except ServerBusy:
            return False
        dialed.stack.close()
        dialed.driver.leave()
        return True
