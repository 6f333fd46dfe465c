"""A whole node whose workers are replaced while it runs, on loopback and with real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from node_rig import certify, configured, running
from waiting import eventually

from edge.client import audio, connect, speech
from edge.config import NodeConfig, config_hash
from edge.errors import EdgeError, UsageError
from edge.node import run
from edge.runtime import supervisor
from edge.runtime.admin_client import Answer, admin_request

TABLES = """
[shutdown]
grace_s = 0.0
[workers]
count = 2
"""
PACKETS = audio.read_speech(speech.recording("hello"))


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NodeConfig:
    monkeypatch.setattr(supervisor, "SETTLED_S", 0.5)
    return configured(tmp_path, TABLES)


async def ask(config: NodeConfig, method: str, target: str, body: object = None) -> Answer:
    return await admin_request(config.admin.socket, method, target, body, timeout_s=30.0)


def call_to(config: NodeConfig) -> Any:
    return connect(
        "127.0.0.1",
        config.service.port,
        server_name="voice.example",
        ca=config.tls.certificate,
        carrier="quic",
        early_data=False,
    )


def generations(status: Any) -> list[tuple[int, str, int]]:
    return [(one["generation"], one["standing"], one["calls"]) for one in status["generations"]]


def test_calls_go_on_and_new_ones_get_the_certificate_of_today(config: NodeConfig) -> None:
    async def main() -> None:
        async with running(config) as node:
            await eventually(lambda: node.ready().ok)
            async with call_to(config) as call:
                await eventually(lambda: node.status()["calls"] == 1)
                before = node.status()["credentials"]["certificate"]
                certify(config.tls.certificate.parent)
                assert node.status()["credentials"]["certificate"] == before
                answer = await ask(config, "POST", "/reload", {"who": "alice"})
                assert generations(answer.checked()) == [(1, "leaving", 1), (2, "serving", 0)]
                now = config_hash(config.tls.certificate.read_text())
                assert now == node.status()["credentials"]["certificate"]["hash"] != before["hash"]
                assert {one["version"] for one in node.status()["workers"]} == {node.status()["version"]}
                async with call_to(config) as newcomer:  # trusts none but the new one
                    await eventually(
                        lambda: generations(node.status()) == [(1, "leaving", 1), (2, "serving", 1)]
                    )
                    await asyncio.gather(*(one.say(PACKETS[:25]) for one in (call, newcomer)))
                    shown = node.render_metrics().decode()
                    assert 'edge_workers{standing="leaving"}' in shown
                    assert 'edge_reloads_total{result="ok"} 1.0' in shown
                    assert node.live().ok
                assert (await call.hang_up()).reconnects == 0
            await eventually(lambda: len(node.status()["generations"]) == 1)

    asyncio.run(main())


def test_a_reload_that_fails_is_answered_with_the_reason_and_changes_nothing(config: NodeConfig) -> None:
    async def main() -> None:
        async with running(config) as node:
            await eventually(lambda: node.ready().ok)
            before = node.status()["workers"]
            config.tls.private_key.write_text("no key")
            with pytest.raises(EdgeError, match=r"key\.pem") as caught:
                (await ask(config, "POST", "/reload")).checked()
            assert caught.value.exit_code == UsageError.exit_code
            assert [one["pid"] for one in node.status()["workers"]] == [one["pid"] for one in before]
            assert 'edge_reloads_total{result="failed"} 1.0' in node.render_metrics().decode()
            async with asyncio.timeout(10), call_to(config) as call:
                await call.say(PACKETS[:5])
            assert (await ask(config, "POST", "/reload", {"deadline_s": -1})).status == 400

    asyncio.run(main())


def test_a_python_that_is_not_there_is_a_failure_like_any_other(config: NodeConfig, tmp_path: Path) -> None:
    """As when the link to the current version leads nowhere. The first generation had one."""
    link = tmp_path / "current"
    link.symlink_to(sys.prefix)

    async def main() -> None:
        python = f'count = 1\npython = "{link}/bin/python"'
        mine = configured(tmp_path, TABLES.replace("count = 2", python))
        async with running(mine) as node:
            await eventually(lambda: node.ready().ok)
            link.unlink()
            with pytest.raises(EdgeError, match="worker 1 did not come up: cannot be started: No such file"):
                (await ask(mine, "POST", "/reload")).checked()
            assert generations(node.status()) == [(1, "serving", 0)]

    asyncio.run(main())


def test_sighup_reloads(config: NodeConfig) -> None:
    async def main() -> None:
        serving = asyncio.Event()
        node = asyncio.create_task(run(config, serving.set))
        await serving.wait()
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(20):
            while True:
                status = (await ask(config, "GET", "/status")).checked()
                if generations(status) == [(2, "serving", 0)]:
                    break
                await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)
        await node

    asyncio.run(main())
