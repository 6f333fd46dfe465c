"""A node behind a real admin socket, for commands to talk to; and what it says of itself."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.errors import EdgeError
from edge.runtime.admin import (
    AdminSocket,
    AnnounceOrder,
    DrainOrder,
    Health,
    ReloadOrder,
    WithdrawOrder,
    admin_routes,
)
from edge.runtime.desk import Desk
from edge.runtime.documents import (
    AnnouncedRoute,
    BgpPeers,
    BgpRoutes,
    DrainReport,
    DrainStatus,
    NodeExplanation,
    Peer,
    ReceivedRoute,
)

AT = 1_795_246_262.0  # 2026-11-21 07:31:02 UTC


def _generation(number: int, standing: str, calls: int) -> dict[str, Any]:
    return {"generation": number, "standing": standing, "calls": calls, "ends_at": None}


class FakeNode:
    """Notes its orders and answers from what the test lays out."""

    def __init__(self, explanation: dict[str, Any]) -> None:
        self.explanation = explanation
        self.orders: list[WithdrawOrder | AnnounceOrder | ReloadOrder] = []
        self.generations: list[list[dict[str, Any]]] = [[_generation(1, "serving", 7)]]
        self.refusal: EdgeError | None = None
        self.calls_up = 7
        self.desk = Desk("e1", Path("/nowhere"))
        self.reports: list[DrainReport] = []
        """What it tells of its drain, one after the other; the last one again and again."""

    def config_text(self) -> str:
        return ""

    def live(self) -> Health:
        return Health(True)

    def ready(self) -> Health:
        return Health(True)

    async def calls(self) -> object:
        return []

    def render_metrics(self) -> bytes:
        return b""

    def status(self) -> dict[str, Any]:
        order = self.orders[-1] if self.orders else AnnounceOrder()
        if isinstance(order, ReloadOrder):
            order = AnnounceOrder()
        held = isinstance(order, WithdrawOrder)
        hold = {
            "kind": "withdraw" if held else "announce",
            "reason": order.reason,
            "who": order.who,
            "since": AT,
            "until": order.until,
        }
        if isinstance(order, DrainOrder):
            hold["drain"] = {"hand_over": order.hand_over, "deadline": order.deadline}
        return {
            "kind": "NodeStatus",
            "node": "e1",
            "state": "held" if held else "announced",
            "reason": "the operator holds it" if held else "released by the operator",
            "announced": not held,
            "hold": hold if held or order.hold else None,
            "calls": self.calls_up,
            "generations": self.generations[0] if len(self.generations) == 1 else self.generations.pop(0),
        }

    def explain(self) -> NodeExplanation:
        return msgspec.convert(self.explanation, NodeExplanation)

    def bgp_peers(self) -> BgpPeers:
        peer = Peer(
            address="203.0.113.10",
            role="upstream",
            asn=64501,
            state="up",
            since_s=3723.0,
            last_reason="",
            damping="cisco",
            received=0,
            bfd="up",
        )
        return BgpPeers(
            node="e1",
            peers=(
                peer,
                msgspec.structs.replace(
                    peer,
                    address="203.0.113.101",
                    role="fleet",
                    asn=64600,
                    state="down",
                    since_s=None,
                    last_reason="peer reset\x1b]0;owned\x07, message (hold timer)",
                    damping="off",
                    bfd=None,
                ),
            ),
        )

    def bgp_routes(self) -> BgpRoutes:
        route = AnnouncedRoute(
            neighbor="203.0.113.10",
            prefix="198.51.100.0/24",
            next_hop="203.0.113.11",
            as_path=(64600, 64600, 64600),
            med=None,
            communities=("65535:0",),
            confirmed=True,
        )
        heard = ReceivedRoute(
            neighbor="203.0.113.101",
            prefix="198.51.100.0/24",
            path_id=2,
            next_hop="203.0.113.21",
            originator="203.0.113.21",
            communities=("64600:1:1", "64600:3:4"),
            own=False,
        )
        return BgpRoutes(
            node="e1",
            announced=(
                route,
                msgspec.structs.replace(route, neighbor="203.0.113.101", as_path=(), med=5, confirmed=False),
            ),
            received=(
                heard,
                msgspec.structs.replace(
                    heard, neighbor="203.0.113.102", next_hop="203.0.113.11", originator="", own=True
                ),
            ),
        )

    async def withdraw(self, order: WithdrawOrder) -> object:
        return self._take(order)

    async def drain(self, order: DrainOrder) -> object:
        return self._take(order)

    def drain_report(self) -> DrainReport:
        if not self.reports:
            status = DrainStatus(
                phase="empty", since_s=0.0, hand_over=True, deadline_in_s=None, left=0, fates={}
            )
            return DrainReport(node="e1", drain=status, calls=())
        return self.reports.pop(0) if len(self.reports) > 1 else self.reports[0]

    async def announce(self, order: AnnounceOrder) -> object:
        return self._take(order)

    async def reload(self, order: ReloadOrder) -> object:
        self.generations = [
            [_generation(1, "leaving", calls), _generation(2, "serving", 3)] for calls in (4, 1)
        ] + [[_generation(2, "serving", 3)]]
        return self._take(order)

    def _take(self, order: WithdrawOrder | AnnounceOrder | ReloadOrder) -> object:
        if self.refusal is not None:
            raise self.refusal
        self.orders.append(order)
        return self.status()


@pytest.fixture(autouse=True)
def _untouched_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers = root.handlers[:]
    # The commands set these.
    levels = {name: logging.getLogger(name).level for name in ("", "edge", "quic")}
    yield
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times are told in local time; here that is UTC."""
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def node(explanation: dict[str, Any]) -> FakeNode:
    return FakeNode(explanation)


@pytest.fixture
def another(explanation: dict[str, Any]) -> Callable[[], FakeNode]:
    """Makes a node, of which there may be several."""
    return lambda: FakeNode(copy.deepcopy(explanation))


@pytest.fixture
def serve(node: FakeNode) -> Iterator[Callable[..., None]]:
    """Lets ``node``, or another one, listen at a path, on a thread of its own, until the test is over."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    with contextlib.ExitStack() as stack:
        stack.callback(loop.close)
        stack.callback(thread.join)
        stack.callback(loop.call_soon_threadsafe, loop.stop)

        def wait(work: Any) -> None:
            asyncio.run_coroutine_threadsafe(work, loop).result(10)

        async def closed(admin: AdminSocket) -> None:
            await admin.close()
            await asyncio.sleep(0)  # what was cut off is closed in the loop's next turn

        def serve(path: Path, served: FakeNode = node) -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            admin = AdminSocket(path, admin_routes(served))
            wait(admin.open())
            stack.callback(lambda: wait(closed(admin)))

        yield serve


@pytest.fixture
def explanation() -> dict[str, Any]:
    """The document of a node that withdrew for load three minutes ago; tests change what they are about."""

    def finding(name: str, met: bool, sentence: str, left_s: float | None = None) -> dict[str, Any]:
        return {"name": name, "met": met, "sentence": sentence, "left_s": left_s}

    overloaded = (
        "overloaded for 60.2 s (limit 60 s): pressure 1.08 (high from 0.85), 34.0% of newcomers refused; "
        "2 others announce (needs 2), the others can take 31 calls (needs more than 1.1 x 24 = 26.4)"
    )
    return {
        "kind": "NodeExplanation",
        "apiVersion": "edge/v1",
        "node": "e1",
        "site": "ams",
        "time": AT,
        "state": "withdrawn",
        "since_s": 192.4,
        "announced": False,
        "deprefer": False,
        "reason": overloaded,
        "hold": None,
        "explanation": {
            "state": "withdrawn",
            "in_effect": "withdrawn",
            "since_s": 192.4,
            "reason": overloaded,
            "held_by": ["not announced: calm for 20 s (needs 2 min)"],
            "ways": [
                {
                    "target": "fenced",
                    "voluntary": False,
                    "conditions": [finding("broken", False, "0 self-probes in a row failed (limit 3)")],
                },
                {
                    "target": "announced",
                    "voluntary": True,
                    "conditions": [
                        finding("calm", False, "calm for 20 s (needs 2 min)", 100.0),
                        finding("hold", False, "its hold goes on for 6 min 48 s", 408.0),
                        finding("proof", True, "312 self-probes in a row passed (needs 3)"),
                    ],
                },
            ],
        },
        "numbers": {
            "pressure": 0.51,
            "pressure_signal": "calls",
            "by_signal": {"cpu": 0.33, "calls": 0.51},
            "admission": "accepting",
            "refusal_ratio": 0.014,
            "load_calls": 12.24,
            "capacity_calls": 24.0,
        },
        "view": {
            "problem": "",
            "nodes": [
                {
                    "address": "203.0.113.21",
                    "state": "announced",
                    "claim": False,
                    "load": 0.4,
                    "capacity": 24,
                    "since_s": 260.0,
                    "seen_by": ["203.0.113.101", "203.0.113.102"],
                }
            ],
            "others": {"synced": True, "announcing": 2, "spare": 31.2, "claimant": "", "settled_s": 192.0},
        },
        "ledger": {
            "penalty": 1380.2,
            "budget": 1500.0,
            "where": "198.51.100.0/24 with 203.0.113.10",
            "entries": [
                {
                    "prefix": "198.51.100.0/24",
                    "neighbor": "203.0.113.10",
                    "penalty": 1380.2,
                    "budget": 1500.0,
                    "profile": "cisco",
                    "suppressed_likely": False,
                }
            ],
        },
        "probe": {"passed": 312, "failed": 0, "problem": ""},
        "bgp": {"neighbors": {"203.0.113.10": "up", "2001:db8:21::1": "down"}},
        "decisions": [
            {
                "at_wall": AT - 90_000,
                "from": "starting",
                "to": "announced",
                "carried_out": True,
                "reason": "3 self-probes in a row passed (needs 3)",
            },
            {
                "at_wall": AT - 192.4,
                "from": "depreferred",
                "to": "withdrawn",
                "carried_out": True,
                "reason": overloaded,
            },
        ],
    }
