"""The admin socket from both ends, on real Unix sockets."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest

from edge.errors import DeadlineError, EdgeError, RefusedError, UnreachableError, UsageError
from edge.runtime.admin import (
    AdminSocket,
    AnnounceOrder,
    DrainOrder,
    Health,
    WithdrawOrder,
    admin_routes,
    metrics_routes,
    open_tcp,
)
from edge.runtime.admin_client import Answer, admin_request
from edge.runtime.desk import Desk
from edge.runtime.documents import BgpPeers, BgpRoutes, DrainedCall, DrainReport, DrainStatus, NodeExplanation
from edge.runtime.http1 import HttpServer

REPORT = DrainReport(
    node="ams-1",
    drain=DrainStatus(
        phase="handing-over",
        since_s=2.5,
        hand_over=True,
        deadline_in_s=None,
        left=0,
        fates={"moved": 1, "refused": 0},
    ),
    calls=(
        DrainedCall(
            call_id="sess_1",
            worker=0,
            fate="moved",
            to="https://fra-1.example",
            node="fra-1",
            took_ms=312.5,
            frames_missing=0,
        ),
    ),
)


class Node:
    """A node that does what it is told."""

    def __init__(self, *, ready: bool = True) -> None:
        self.is_ready = ready
        self.orders: list[WithdrawOrder | AnnounceOrder] = []
        self.announcers = 2
        self.desk = Desk("ams-1", Path("/nowhere"))

    def config_text(self) -> str:
        return "[node]\n"

    def live(self) -> Health:
        return Health(ok=True)

    def ready(self) -> Health:
        return Health(ok=self.is_ready, problems=() if self.is_ready else ("draining: upgrade",))

    def status(self) -> object:
        return {"node": "ams-1", "orders": len(self.orders)}

    async def calls(self) -> object:
        return [{"call_id": "sess_1"}]

    def render_metrics(self) -> bytes:
        return b"edge_calls 3.0\n"

    def explain(self) -> NodeExplanation:
        raise RuntimeError("a mistake in the program")

    def bgp_peers(self) -> BgpPeers:
        return BgpPeers(node="ams-1", peers=())

    def bgp_routes(self) -> BgpRoutes:
        return BgpRoutes(node="ams-1", announced=(), received=())

    async def withdraw(self, order: WithdrawOrder) -> object:
        if self.announcers == 1 and not order.force:
            raise RefusedError("ams-1 is the last to announce")
        self.orders.append(order)
        return self.status()

    async def drain(self, order: DrainOrder) -> object:
        return await self.withdraw(order)

    def drain_report(self) -> DrainReport:
        return REPORT

    async def announce(self, order: AnnounceOrder) -> object:
        self.orders.append(order)
        return self.status()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "admin.sock"


def ask(
    path: Path,
    method: str,
    target: str,
    body: object = None,
    *,
    node: Node | None = None,
    lease: str | None = None,
) -> Answer:
    headers = {} if lease is None else {"Edge-Lease": lease}

    async def main() -> Answer:
        admin = AdminSocket(path, admin_routes(node or Node()))
        await admin.open()
        try:
            return await admin_request(path, method, target, body, headers=headers)
        finally:
            await admin.close()

    return asyncio.run(main())


def test_readyz_says_what_is_wrong(path: Path) -> None:
    assert ask(path, "GET", "/livez") == Answer(200, {"ok": True, "problems": []})
    assert ask(path, "GET", "/readyz") == Answer(200, {"ok": True, "problems": []})
    answer = ask(path, "GET", "/readyz", node=Node(ready=False))
    assert answer == Answer(503, {"ok": False, "problems": ["draining: upgrade"]})


def test_metrics_are_text(path: Path) -> None:
    assert ask(path, "GET", "/metrics") == Answer(200, "edge_calls 3.0\n")


def test_calls_are_listed(path: Path) -> None:
    assert ask(path, "GET", "/calls") == Answer(200, [{"call_id": "sess_1"}])


def test_documents_name_their_kind(path: Path) -> None:
    assert ask(path, "GET", "/bgp/peers").value == {
        "kind": "BgpPeers",
        "apiVersion": "edge/v1",
        "node": "ams-1",
        "peers": [],
    }
    routes = ask(path, "GET", "/bgp/routes").value
    assert routes == {
        "kind": "BgpRoutes",
        "apiVersion": "edge/v1",
        "node": "ams-1",
        "announced": [],
        "received": [],
    }


@pytest.mark.parametrize("target,kind", [("/withdraw", WithdrawOrder), ("/drain", DrainOrder)])
def test_an_order_says_who_why_and_until_when(
    path: Path, target: str, kind: type[WithdrawOrder | DrainOrder]
) -> None:
    node = Node()
    body = {"reason": "upgrade", "who": "alice", "until": 1_790_000_000.0, "force": True}
    assert ask(path, "POST", target, body, node=node).value == {"node": "ams-1", "orders": 1}
    ask(path, "POST", target, node=node)
    assert node.orders == [kind("upgrade", "alice", 1_790_000_000.0, True), kind()]


def test_a_drain_says_what_becomes_of_the_calls_and_tells_it_afterwards(path: Path) -> None:
    node = Node()
    ask(path, "POST", "/drain", {"deadline": 1_790_000_000.0, "hand_over": False}, node=node)
    assert node.orders == [DrainOrder(hand_over=False, deadline=1_790_000_000.0)]
    report = ask(path, "GET", "/drain").value
    assert isinstance(report, dict)
    assert (report["kind"], report["apiVersion"]) == ("DrainReport", "edge/v1")
    assert report["drain"]["phase"] == "handing-over"
    assert report["calls"][0]["node"] == "fra-1"


@pytest.mark.parametrize("target", ["/announce", "/undrain"])
def test_both_words_for_the_way_back_are_one_order(path: Path, target: str) -> None:
    node = Node()
    ask(path, "POST", target, {"hold": True, "until": 1_790_000_000.0, "reason": "the match"}, node=node)
    ask(path, "POST", target, node=node)
    assert node.orders == [AnnounceOrder("the match", "", True, 1_790_000_000.0), AnnounceOrder()]


@pytest.mark.parametrize(
    "target,body,says",
    [
        ("/drain", {"raeson": "upgrade"}, "raeson"),
        ("/drain", {"hold": True}, "hold"),
        ("/drain", {"deadline": "soon"}, "deadline"),
        ("/withdraw", {"hand_over": False}, "hand_over"),
        ("/withdraw", {"reason": None}, "reason"),
        ("/withdraw", {"reason": "x" * 1001}, "length <= 1000"),
        ("/withdraw", {"who": "x" * 101}, "length <= 100"),
        ("/withdraw", {"until": "tomorrow"}, "until"),
        ("/withdraw", {"until": -1}, ">= 0"),
        ("/withdraw", {"until": 1e300}, "until"),
        ("/withdraw", {"force": "yes"}, "force"),
        ("/announce", {"force": "yes"}, "force"),
        ("/announce", {"until": 1_790_000_000.0}, "'until' is of use with 'hold' only"),
        ("/announce", [], "Expected `object`"),
    ],
)
def test_an_order_with_a_slip_is_refused_not_half_obeyed(
    path: Path, target: str, body: object, says: str
) -> None:
    node = Node()
    answer = ask(path, "POST", target, body, node=node)
    assert answer.status == 400
    assert node.orders == []
    with pytest.raises(UsageError, match=says):
        answer.checked()


def test_the_asker_ends_as_if_it_had_failed_itself(path: Path) -> None:
    node = Node()
    node.announcers = 1
    answer = ask(path, "POST", "/drain", node=node)
    assert answer.status == 409
    with pytest.raises(RefusedError, match="last to announce"):
        answer.checked()
    assert ask(path, "POST", "/drain", {"force": True}, node=node).status == 200
    assert ask(path, "GET", "/status").checked() == {"node": "ams-1", "orders": 0}


def test_a_mistake_of_the_node_is_an_error_not_silence(path: Path) -> None:
    with pytest.raises(EdgeError, match="the node's log has the details"):
        ask(path, "GET", "/explain").checked()


def test_an_error_of_no_special_kind_is_an_error() -> None:
    with pytest.raises(EdgeError) as caught:
        Answer(404, {"error": "not here", "exit_code": 1}).checked()
    assert caught.value.exit_code == 1


def test_only_owner_and_group_may_connect(path: Path) -> None:
    async def main() -> os.stat_result:
        admin = AdminSocket(path, {})
        await admin.open()
        created = os.stat(path)
        await admin.close()
        return created

    before = os.umask(0)
    try:
        created = asyncio.run(main())
    finally:
        os.umask(before)
    assert stat.S_ISSOCK(created.st_mode)
    assert stat.S_IMODE(created.st_mode) == 0o660
    assert not path.exists()


def test_a_socket_left_by_a_dead_node_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    assert ask(path, "GET", "/livez").status == 200


def test_a_running_node_is_not_pushed_aside(path: Path) -> None:
    async def main() -> None:
        first = AdminSocket(path, admin_routes(Node()))
        await first.open()
        second = AdminSocket(path, {})
        with pytest.raises(UnreachableError, match=f"process {os.getpid()} is already running here"):
            await second.open()
        await second.close()
        assert (await admin_request(path, "GET", "/livez")).status == 200
        await first.close()

    asyncio.run(main())


def test_a_node_too_busy_to_answer_is_still_running(path: Path) -> None:
    """With its backlog full, connecting neither succeeds nor is refused."""
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(str(path))
        busy.listen(0)
        waiting.connect(str(path))
        with pytest.raises(UnreachableError, match="already running here"):
            asyncio.run(AdminSocket(path, {}).open())
    assert path.exists()


def test_another_kind_of_file_is_not_removed(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(UnreachableError, match="not a socket"):
        asyncio.run(AdminSocket(path, {}).open())
    assert path.read_text() == "precious"


def test_a_successors_socket_is_left_alone(path: Path) -> None:
    async def main() -> None:
        old, successor = AdminSocket(path, {}), AdminSocket(path, admin_routes(Node()))
        await old.open()
        os.unlink(path)
        await successor.open()
        await old.close()
        assert (await admin_request(path, "GET", "/livez")).status == 200
        await successor.close()

    asyncio.run(main())


@pytest.mark.parametrize("place", ["missing/admin.sock", "x" * 120])
def test_a_place_where_no_socket_can_be(tmp_path: Path, place: str) -> None:
    with pytest.raises(UnreachableError, match="cannot listen here") as caught:
        asyncio.run(AdminSocket(tmp_path / place, {}).open())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("left_over", [False, True])
def test_asking_where_no_node_runs(path: Path, left_over: bool) -> None:
    if left_over:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
    with pytest.raises(UnreachableError, match="no node is running here"):
        asyncio.run(admin_request(path, "GET", "/status"))


def test_a_hung_node_is_not_waited_for(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(path))
        hung.listen()
        with pytest.raises(DeadlineError, match=r"did not answer /status within 0\.01 s"):
            asyncio.run(admin_request(path, "GET", "/status", timeout_s=0.01))


def _answer(body: bytes, kind: bytes = b"application/json", status: int = 200) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        status,
        kind,
        len(body),
        body,
    )


@pytest.mark.parametrize(
    "raw,error,says",
    [
        (b"220 smtp.example ESMTP\r\n", EdgeError, "does not speak HTTP"),
        (b"", UnreachableError, "stopped in the middle"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", UnreachableError, "stopped in the middle"),
        (_answer(b"{'no': json}"), EdgeError, "is no node"),
        (_answer(b"[" * 100_000), EdgeError, "is no node"),
        (_answer(b"\xff", b"text/plain"), EdgeError, "is no node"),
        (_answer(b"<h1>Bad Gateway", b"text/html", 502), EdgeError, "HTTP status 502"),
        (_answer(b"[]", status=500), EdgeError, "HTTP status 500"),
    ],
)
def test_an_answer_that_is_none(path: Path, raw: bytes, error: type[EdgeError], says: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        writer.close()

    async def main() -> None:
        stranger = await asyncio.start_unix_server(answer, path)
        try:
            (await admin_request(path, "GET", "/status")).checked()
        finally:
            stranger.close()

    with pytest.raises(error, match=says):
        asyncio.run(main())


def test_scrapers_see_metrics_and_health_and_nothing_else() -> None:
    async def fetch(port: int, target: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        return answer

    async def main() -> list[bytes]:
        sock = open_tcp("127.0.0.1", 0)
        http = HttpServer(metrics_routes(Node(ready=False)))
        await http.listen(sock)
        port = sock.getsockname()[1]
        answers = [await fetch(port, path) for path in ("/metrics", "/livez", "/readyz", "/status")]
        await http.close()
        return answers

    metrics, alive, ready, status = asyncio.run(main())
    assert metrics.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n" in metrics
    assert alive.startswith(b"HTTP/1.1 200 ")
    assert ready.startswith(b"HTTP/1.1 503 ")
    assert b"upgrade" not in ready, "an operator's words are for operators"
    assert status.startswith(b"HTTP/1.1 404 ")


def test_a_metrics_port_in_use() -> None:
    with open_tcp("127.0.0.1", 0) as first, pytest.raises(UnreachableError, match="ss -ltnp"):
        open_tcp("127.0.0.1", first.getsockname()[1])


@pytest.mark.parametrize("target", ["/withdraw", "/drain", "/announce", "/undrain"])
def test_while_one_operator_has_the_lease_the_orders_of_others_are_refused(path: Path, target: str) -> None:
    node = Node()
    node.desk = Desk("ams-1", path.parent)
    lease = {"who": "alice", "what": "upgrade", "ttl_s": 60}
    taken = ask(path, "POST", "/lease", lease, node=node).value
    assert isinstance(taken, dict)
    assert taken["holder"]["who"] == "alice"
    for body in (lease, {**lease, "who": "bob"}):
        with pytest.raises(RefusedError, match="alice has the lease since"):
            ask(path, "POST", "/lease", body, node=node).checked()
    answer = ask(path, "POST", target, node=node)
    assert answer.status == 409
    with pytest.raises(RefusedError, match="alice has the lease since"):
        answer.checked()
    assert node.orders == []
    ask(path, "POST", target, {"force": True}, node=node).checked()
    ask(path, "POST", target, node=node, lease=taken["token"]).checked()
    assert len(node.orders) == 2
    assert ask(path, "GET", "/lease", node=node).value == {
        "apiVersion": "edge/v1",
        "kind": "Lease",
        "node": "ams-1",
        "holder": taken["holder"],
    }
    ask(path, "POST", "/lease/release", {"token": taken["token"]}, node=node).checked()
    ask(path, "POST", target, node=node).checked()
    with pytest.raises(RefusedError, match="another's now, or none"):
        ask(path, "POST", target, node=node, lease=taken["token"]).checked()


@pytest.mark.parametrize("ttl_s", [0, -1, 601, "60", None])
def test_a_lease_is_short(path: Path, ttl_s: object) -> None:
    node = Node()
    node.desk = Desk("ams-1", path.parent)
    body = {"who": "alice", "what": "", "ttl_s": ttl_s}
    with pytest.raises(UsageError, match="ttl_s"):
        ask(path, "POST", "/lease", body, node=node).checked()


def test_a_header_that_would_be_another_request_is_not_sent(path: Path) -> None:
    with pytest.raises(UsageError, match="Edge-Lease"):
        ask(path, "GET", "/status", lease="x\r\nContent-Length: 9")
