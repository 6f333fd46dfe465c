"""One node: everything up in order, the control loop, and everything down in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import edge
from bgp.ledger import UNLIMITED
from bgp.policy import State
from bgp.view import NO_VIEW
from edge.config import (
    ConfigFile,
    Credentials,
    NodeConfig,
    check_backends,
    config_hash,
    load_credentials,
    load_token_keys,
)
from edge.errors import EdgeError, RefusedError
from edge.keys import render
from edge.node import explanation
from edge.node.alike import alike
from edge.node.control import Control, Evidence
from edge.node.drainer import LOOK_S, Drainer
from edge.node.orders import Orders
from edge.node.routing import Routing
from edge.node.settings import Sockets, owners, worker_settings
from edge.node.shared_files import SharedFiles
from edge.node.status_page import page_routes
from edge.node.watch import keep_informed
from edge.quic import verify_engine
from edge.runtime import metric_table as metric
from edge.runtime.admin import (
    AdminSocket,
    AnnounceOrder,
    DrainOrder,
    Health,
    ReloadOrder,
    WithdrawOrder,
    admin_routes,
    metrics_routes,
    open_tcp,
)
from edge.runtime.admin_tls import AdminTls, TlsFiles
from edge.runtime.desk import Desk
from edge.runtime.documents import BgpPeers, BgpRoutes, DrainReport, NodeExplanation
from edge.runtime.http1 import HttpServer
from edge.runtime.metrics import NodeMetrics, WorkerTotals
from edge.runtime.netlink import Netlink, SourceRoute
from edge.runtime.probe import SelfProbe
from edge.runtime.service_manager import ServiceManager
from edge.runtime.sockets import host_port, listen_tcp, open_udp
from edge.runtime.supervisor import Standing, Supervisor

log = logging.getLogger("edge.node")

CONTROL_INTERVAL_S = 0.25
WITHDRAW_TIMEOUT_S = 2.0
UNWINDING_S = 30.0
"""For the speaker and the workers to end, with time to spare."""


class Node:
    """One node from `start` to `stop`; what `edge.runtime.admin` calls Administered."""

    def __init__(
        self, config: NodeConfig, file: ConfigFile | None = None, manager: ServiceManager | None = None
    ) -> None:
        """``file``: where the configuration was read from, if it was. ``manager``: who has started this process."""
        self.config = config
        self._config_file = file
        self._manager = manager or ServiceManager()
        self._started_at = time.time()
        self.desk = Desk(str(config.node.name), config.state.directory)
        self._metrics = NodeMetrics(edge.__version__)
        self._metrics.set(metric.START, self._started_at)
        if file is not None:
            self._metrics.set(metric.CONFIG_INFO, 1, file.hash)
        now = asyncio.get_running_loop().time()
        self._control = Control(config, now)
        self._orders = Orders(config.node.name, config.state.directory / "hold.json")
        self._drainer = Drainer(config, self._control, self._metrics)
        self._routing: Routing | None = None
        self._restarts = 0  # of workers, that the metrics know of
        self._supervisor: Supervisor
        self._probe = SelfProbe(
            config.service.addresses,
            config.service.port,
            interval_s=config.probe.interval_s,
            timeout_s=config.probe.timeout_s,
            on_round=self._probed,
        )
        self._unicast_probe = SelfProbe(
            config.unicast.addresses,
            config.service.port,
            interval_s=config.probe.interval_s,
            timeout_s=config.probe.timeout_s,
            on_round=self._unicast_probed,
        )
        self._credentials: Credentials
        self._token_keys: str
        self._files: SharedFiles
        self._admin_tls: AdminTls | None = None
        self._leaving = False
        self.defect = ""  # of this program, for which it has stopped by itself

    async def start(self, stack: AsyncExitStack) -> None:
        """Bring everything up in order; what is up is taken down by ``stack``, in reverse.

        Raises `EdgeError`: what is missing and what to do, in one line.
        """
        config = self.config
        verify_engine()
        self._credentials = load_credentials(config, datetime.now(UTC))
        self._files = SharedFiles(config, self._files_changed)
        self._publish_shared()
        self._token_keys = load_token_keys(config)
        check_backends(config)
        await self._put_addresses(stack)
        sockets = self._open_sockets(stack)
        self._supervisor = Supervisor(
            lambda slots: [
                worker_settings(config, slot, self._credentials, self._files, self._token_keys, sockets)
                for slot in slots
            ],
            config.workers.count,
            steer=lambda slots: sockets.steer(slots, config.cid.profile),
            **({} if config.workers.python is None else {"python": str(config.workers.python)}),
        )
        stack.push_async_callback(self._supervisor.stop, "the node stopped")
        await self._supervisor.start()
        await self._open_admin(stack)
        await self._start_routing(stack)
        for work in (
            self._probe.run(),
            self._unicast_probe.run(),
            self._files.watch(),
            self._keep_control(),
            self._keep_drained(),
            keep_informed(self._manager, lambda: self.live().ok, self.status),
            *([] if self._admin_tls is None else [self._admin_tls.watch()]),
        ):
            task = asyncio.create_task(work)
            stack.callback(task.cancel)
            task.add_done_callback(self._control_ended)

    async def stop(self) -> None:
        """Withdraw and give the routers time; the rest is the exit stack's."""
        self._leaving = True
        self._manager.stopping(WITHDRAW_TIMEOUT_S + self.config.shutdown.grace_s + UNWINDING_S)
        if self._routing is None:
            return
        was_announced = self._control.announced
        if not await self._routing.stop(WITHDRAW_TIMEOUT_S):
            log.warning("event=withdrawal_unconfirmed")
        if was_announced:
            await asyncio.sleep(self.config.shutdown.grace_s)

    def _control_ended(self, task: asyncio.Task[None]) -> None:
        """The control loop and the probe never end by themselves; a node without them must not go on announcing."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("event=control_died", exc_info=error)
            self.defect = f"{type(error).__name__}: {error}"
            signal.raise_signal(signal.SIGTERM)

    async def _put_addresses(self, stack: AsyncExitStack) -> None:
        config = self.config
        routes = [
            SourceRoute(str(route.source), str(route.gateway), route.table) for route in config.source_routes
        ]
        if not config.service.manage_addresses:
            return
        netlink = await stack.enter_async_context(Netlink())
        for address in config.service.addresses:
            await netlink.put_address(address)
            stack.push_async_callback(netlink.remove_address, address)
        await netlink.put_source_routes(routes)
        stack.push_async_callback(netlink.remove_source_routes, routes)

    def _open_sockets(self, stack: AsyncExitStack) -> Sockets:
        """On each local address, for UDP one for each slot of a worker: those of two generations."""
        config, count = self.config, 2 * self.config.workers.count
        port = config.service.port
        addresses = dict.fromkeys((*config.service.addresses, *config.unicast.addresses))
        udp = {str(address): open_udp(address, port, count=count) for address in addresses}
        forward = {}
        if config.fleet.file is not None:
            unicast, forward_port = config.unicast.addresses, config.forward.port
            forward = {str(address): open_udp(address, forward_port, count=count) for address in unicast}
        tcp = {}
        if config.web.enabled:
            tcp = {str(address): listen_tcp(address, port) for address in addresses}
        if (plain := config.web.plain_listen) is not None:
            tcp[host_port(plain.host, plain.port)] = listen_tcp(plain.host, plain.port)
        sockets = Sockets(udp, forward, tcp)
        for sock in sockets:
            stack.callback(sock.close)
        return sockets

    async def _start_routing(self, stack: AsyncExitStack) -> None:
        if self.config.bgp is not None:
            now = asyncio.get_running_loop().time()
            routing = Routing(self.config, self.config.bgp, self._metrics, now)
            await routing.start(stack)
            self._routing = routing

    async def _open_admin(self, stack: AsyncExitStack) -> None:
        admin = self.config.admin
        unix = AdminSocket(admin.socket, admin_routes(self))
        await unix.open()
        stack.push_async_callback(unix.close)
        for listen, routes in (
            (self.config.metrics.listen, metrics_routes(self)),
            (admin.page_listen, page_routes(self, self.config.node.name)),
        ):
            if listen is not None:
                server = HttpServer(routes)
                await server.listen(open_tcp(listen.host, listen.port))
                stack.push_async_callback(server.close)
        if admin.listen is not None and admin.ca and admin.certificate and admin.private_key:
            sock = stack.enter_context(open_tcp(admin.listen.host, admin.listen.port))
            files = TlsFiles(admin.ca, admin.certificate, admin.private_key)
            self._admin_tls = AdminTls(sock, files, admin_routes(self))
            stack.push_async_callback(self._admin_tls.close)

    # --- several times a second -------------------------------------------------------------------------

    async def _keep_control(self) -> None:
        clock = asyncio.get_running_loop().time
        while not self._leaving:
            now = clock()
            self._take_reports()
            self._control.take_load([worker.report for worker in self._supervisor.workers], now)
            for worker in self._supervisor.everyone:
                worker.set_gate(self._control.gate)
            self._update_route(now)
            self._control.publish(self._metrics)
            self._publish()
            if self._routing is not None:
                self._routing.publish(now)
            await asyncio.sleep(CONTROL_INTERVAL_S)

    def _publish(self) -> None:
        gauges = self._metrics
        gauges.set(metric.FILE_PROBLEMS, len(list(self._problems())))
        gauges.set(metric.CERTIFICATE_EXPIRY, self._credentials.expires_at.timestamp())
        gauges.set(metric.LEASE_HELD, self.desk.holder() is not None)
        gauges.set(metric.OPERATION_INTERRUPTED, (self.desk.operation() or {}).get("interrupted", False))
        if self._config_file is not None:
            gauges.set(metric.CONFIG_CHANGED, self._config_file.has_changed())
        for standing in (Standing.SERVING, Standing.LEAVING):
            there = [one for one in self._supervisor.generations if one.standing is standing]
            gauges.set(metric.WORKERS, sum(len(one.workers) for one in there), standing.value)

    async def _keep_drained(self) -> None:
        while True:
            self._follow_orders()
            await self._look_after_drain()
            await asyncio.sleep(LOOK_S)

    async def _look_after_drain(self) -> None:
        now = asyncio.get_running_loop().time()
        await self._drainer.look(self._supervisor, self._routing, self._files.fleet, now)

    def _follow_orders(self) -> None:
        wall = time.time()
        now = asyncio.get_running_loop().time()
        self._drainer.follow(self._orders.hold(wall), now=now, wall=wall)

    def _take_reports(self) -> None:
        self._metrics.increment(metric.WORKER_RESTARTS, by=self._supervisor.restarts - self._restarts)
        self._restarts = self._supervisor.restarts
        self._metrics.workers_left({worker.slot for worker in self._supervisor.workers})
        for worker in self._supervisor.workers:
            self._metrics.worker_observed(worker.take_observations())
            report, process = worker.report, worker.process
            if report is None or process is None:
                self._metrics.worker_left(worker.slot)
                continue
            self._metrics.worker_reported(
                worker.slot,
                WorkerTotals(
                    process=process.pid,
                    counters=report.counters,
                    connections=report.connections,
                    calls=report.calls,
                    generations=report.generations,
                    keys=report.keys,
                    loop_lag_s=report.load.loop_lag_s,
                ),
            )

    def _files_changed(self) -> None:
        self._publish_shared()
        for worker in self._supervisor.everyone:
            worker.set_keys(render(self._files.keys))
            worker.set_owners(owners(self.config, self._files.fleet))

    def _publish_shared(self) -> None:
        self._metrics.set(metric.KEYS_CREATED, self._files.keys.issuing.created.timestamp())
        for part, fingerprint in alike(self.config, self._files.fleet).items():
            self._metrics.set_info(metric.ALIKE_INFO, part, fingerprint)

    def _update_route(self, now: float) -> None:
        """Decide whether to announce; have the neighbors and the fleet know."""
        if self._leaving:
            return
        control, routing = self._control, self._routing
        control.decide(self._evidence(now), now)
        if routing is not None:
            routing.tell(control.in_effect, now)
            routing.tell_fleet(
                control.in_effect,
                claim=control.claims,
                load=control.load,
                capacity=self.config.overload.capacity.calls,
                now=now,
            )
            routing.tick(now)

    def _evidence(self, now: float) -> Evidence:
        expires_at, routing = self._credentials.expires_at, self._routing
        expired = datetime.now(UTC) >= expires_at
        return Evidence(
            probes_passed=self._probe.passed,
            probes_failed=self._probe.failed,
            unicast_failed=self._unicast_probe.failed,
            defect=f"the certificate expired on {expires_at:%Y-%m-%d %H:%M}" if expired else "",
            hold=self._orders.kind(time.time()),
            start_wait_s=routing.costs.start_wait_s(now) if routing else 0.0,
            others=routing.others(now) if routing else NO_VIEW,
            allowance=routing.costs.allowance(now) if routing else UNLIMITED,
        )

    def _unicast_probed(self, passed: bool, took_s: float) -> None:
        self._metrics.increment(metric.SELF_PROBE_HANDSHAKES, by=self._unicast_probe.handshakes)

    def _probed(self, passed: bool, took_s: float) -> None:
        self._metrics.increment(metric.SELF_PROBES, "ok" if passed else "failed")
        self._metrics.increment(metric.SELF_PROBE_HANDSHAKES, by=self._probe.handshakes)
        if passed:
            self._metrics.observe(metric.SELF_PROBE_DURATION, took_s)
        self._update_route(asyncio.get_running_loop().time())

    # --- what an operator asks --------------------------------------------------------------------------

    def live(self) -> Health:
        silent = [str(worker.slot) for worker in self._supervisor.workers if not worker.is_reporting]
        return Health(not silent, tuple(f"worker {worker} does not report" for worker in silent))

    def ready(self) -> Health:
        state = self._control.state
        if state is State.ANNOUNCED and not self._leaving:
            return Health(True)
        why = "the node is stopping" if self._leaving else f"{state.value}: {self._reason()}"
        return Health(False, tuple(filter(None, (self._drainer.problem(), why))))

    def _reason(self) -> str:
        now = asyncio.get_running_loop().time()
        unproven = self._probe.problem or "the data plane has not proved itself yet"
        return self._control.why(self._evidence(now), now) or unproven

    def status(self) -> dict[str, Any]:
        """Times ``at`` are of this host's monotonic clock, in seconds."""
        now = asyncio.get_running_loop().time()
        reports = [worker.report for worker in self._supervisor.workers if worker.report is not None]
        return {
            "apiVersion": "edge/v1",
            "kind": "NodeStatus",
            "node": str(self.config.node.name),
            "site": str(self.config.node.site),
            "version": edge.__version__,
            "time": time.time(),
            "started_at": self._started_at,
            "config": self._config_status(),
            "credentials": self._credentials_status(),
            "lease": self.desk.holder(),
            "operation": self.desk.operation(),
            "reason": self._reason(),
            "hold": self._orders.hold(time.time()),
            "drain": self._drainer.status(now),
            **self._control.status(now),
            "calls": sum(int(report.load.calls) for report in reports),
            "connections": {
                outcome: sum(report.connections.get(outcome, 0) for report in reports)
                for outcome in metric.OUTCOMES
            },
            "probe": {
                "passed": self._probe.passed,
                "failed": self._probe.failed,
                "problem": self._probe.problem,
            },
            "bgp": self._bgp_status(),
            "workers": [
                {
                    "worker": worker.slot,
                    "pid": worker.process and worker.process.pid,
                    "generation": generation.number,
                    "version": worker.version,
                    "calls": int(worker.report.load.calls) if worker.report else 0,
                }
                for generation in self._supervisor.generations
                for worker in generation.workers
            ],
            "generations": [
                {
                    "generation": generation.number,
                    "standing": generation.standing.value,
                    "calls": generation.calls,
                    "ends_at": generation.ends_at,
                }
                for generation in self._supervisor.generations
            ],
            "keys": {
                "version": self._files.keys.version,
                "issue": self._files.keys.issue,
                "in_use": sorted({report.keys for report in reports}),
                "connections": {
                    generation.number: sum(report.generations.get(generation.number, 0) for report in reports)
                    for generation in self._files.keys
                },
            },
            "problems": list(self._problems()),
        }

    def _problems(self) -> Iterator[str]:
        """Files that have changed to what this node cannot use."""
        yield from self._files.problems.values()
        if self._admin_tls is not None and self._admin_tls.problem:
            yield self._admin_tls.problem

    def _config_status(self) -> dict[str, Any] | None:
        if self._config_file is None:
            return None
        return {
            "hash": self._config_file.hash,
            "file": str(self._config_file.path),
            "changed_on_disk": self._config_file.has_changed(),
        }

    def _credentials_status(self) -> dict[str, Any]:
        """Of what new workers were given last."""
        return {
            "certificate": {
                "hash": config_hash(self._credentials.certificate.decode("latin-1")),
                "expires_at": self._credentials.expires_at.timestamp(),
            },
            "token_keys": {"hash": config_hash(self._token_keys)} if self._token_keys else None,
        }

    def config_text(self) -> str:
        return "" if self._config_file is None else self._config_file.text

    def _bgp_status(self) -> dict[str, Any] | None:
        if self.config.bgp is None or self._routing is None:
            return None
        return {
            "pid": self._routing.speaker.pid,
            "prefixes": list(self.config.bgp.prefixes),
            "neighbors": self._routing.peers.sessions(),
        }

    def explain(self) -> NodeExplanation:
        now = asyncio.get_running_loop().time()
        return explanation.of_node(
            config=self.config,
            control=self._control,
            routing=self._routing,
            evidence=self._evidence(now),
            hold=self._orders.hold(time.time()),
            probe=self._probe,
            now=now,
            wall=time.time(),
        )

    def bgp_peers(self) -> BgpPeers:
        now, node = asyncio.get_running_loop().time(), str(self.config.node.name)
        return (
            BgpPeers(node=node, peers=())
            if self._routing is None
            else self._routing.peers_document(node, now)
        )

    def bgp_routes(self) -> BgpRoutes:
        node = str(self.config.node.name)
        if self._routing is None:
            return BgpRoutes(node=node, announced=(), received=())
        return self._routing.routes_document(node)

    async def calls(self) -> list[Any]:
        return await self._supervisor.calls()

    def render_metrics(self) -> bytes:
        return self._metrics.render()

    async def drain(self, order: DrainOrder) -> dict[str, Any]:
        await self.withdraw(order)
        await self._look_after_drain()
        return self.status()

    def drain_report(self) -> DrainReport:
        return self._drainer.report(asyncio.get_running_loop().time())

    async def withdraw(self, order: WithdrawOrder) -> dict[str, Any]:
        now = asyncio.get_running_loop().time()
        announced = self._routing is not None and self._control.announced
        others = self._routing.others(now) if self._routing else NO_VIEW
        self._orders.withdraw(order, time.time(), announced=announced, others=others)
        return self._ordered()

    async def announce(self, order: AnnounceOrder) -> dict[str, Any]:
        self._orders.announce(order, time.time())
        return self._ordered()

    async def reload(self, order: ReloadOrder) -> dict[str, Any]:
        if self._leaving:
            raise RefusedError("the node is stopping")
        config, before = self.config, (self._credentials, self._token_keys)
        self._manager.reloading()
        try:
            self._credentials, self._token_keys = (
                load_credentials(config, datetime.now(UTC)),
                load_token_keys(config),
            )
            await self._supervisor.reload(order.deadline_s)
        except EdgeError as error:
            self._credentials, self._token_keys = before
            self._metrics.increment(metric.RELOADS, "failed")
            log.error('event=reload_failed who=%s error="%s"', order.who, error)
            raise
        finally:
            self._manager.ready()
        self._metrics.increment(metric.RELOADS, "ok")
        return self.status()

    async def reload_by_signal(self) -> None:
        """What went wrong has been logged."""
        with contextlib.suppress(EdgeError):
            await self.reload(ReloadOrder(who="SIGHUP"))

    def _ordered(self) -> dict[str, Any]:
        self._update_route(asyncio.get_running_loop().time())
        self._follow_orders()
        return self.status()


async def run(
    config: NodeConfig,
    started: Callable[[], None] = lambda: None,
    *,
    file: ConfigFile | None = None,
    manager: ServiceManager | None = None,
) -> None:
    """Run a node, configured by ``file``, until SIGTERM or SIGINT, then leave in order; ``started`` is called when it serves.

    ``manager`` is told, too, and how the node fares.

    SIGHUP replaces its workers, see `Node.reload`.

    Raises `EdgeError` if it cannot start, or had to stop by itself.
    """
    leave = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave.set)
    manager = manager or ServiceManager()
    node = Node(config, file, manager)
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = asyncio.create_task(node.reload_by_signal())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    async with AsyncExitStack() as stack:
        await node.start(stack)
        loop.add_signal_handler(signal.SIGHUP, reload)
        log.info("event=node_up node=%s", config.node.name)
        if not leave.is_set():
            manager.ready()
            started()
        await leave.wait()
        log.info("event=node_leaving node=%s", config.node.name)
        await node.stop()
    log.info("event=node_down node=%s", config.node.name)
    if node.defect:
        raise EdgeError(f"the node stopped by itself, this is a mistake in the program: {node.defect}")
