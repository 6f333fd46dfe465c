"""A node's status page in a real browser: nothing that its own policy forbids, up to date by itself, good on a phone."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest
from interop.chromium import Chromium
from node_documents import AT, in_trouble, snapshot
from node_rig import configured

from edge.node import Node
from edge.runtime.admin import WithdrawOrder
from edge.statuspage import fleet_page, node_page

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(240)]

PATIENCE_S = 60.0  # the page looks every 5 s, on a machine that is busy
WIDER_THAN_THE_SCREEN = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
CONTRAST = """
[...document.querySelectorAll("main *")].filter(element => element.children.length === 0 && element.textContent.trim())
  .filter(element => getComputedStyle(element).color === getComputedStyle(document.body).backgroundColor).length
"""


def test_a_page_that_is_open_follows_the_node_and_says_when_it_has_gone(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.2", 0)) as free:
        port = free.getsockname()[1]
    tables = "[shutdown]\ngrace_s = 0.0\n[workers]\ncount = 1\n"
    config = configured(tmp_path, tables, admin=f'page_listen = "127.0.0.2:{port}"')

    async def main() -> None:
        async with Chromium.started(tmp_path / "profile") as browser, contextlib.AsyncExitStack() as stack:
            node = Node(config)
            await node.start(stack)
            page = await browser.open(f"http://127.0.0.2:{port}/")
            await page.until("document.querySelector('.pill').textContent === 'announced'", PATIENCE_S)
            await node.withdraw(WithdrawOrder("<b>a new disk</b>"))
            await page.until("document.querySelector('.pill').textContent === 'held'", PATIENCE_S)
            assert await page.evaluate(
                "document.querySelector('main').textContent.includes('<b>a new disk</b>')"
            )
            assert page.errors == []
            await node.stop()
            await stack.aclose()
            await page.until(
                "document.getElementById('lost').textContent.startsWith('No answer for ')", PATIENCE_S
            )
            assert await page.evaluate("document.querySelector('.pill').textContent") == "held"

    asyncio.run(main())


def test_pages_fit_a_phone_in_light_and_in_dark(tmp_path: Path) -> None:
    pages = {
        "node": node_page(in_trouble()),
        "fleet": fleet_page("Fleet voice", [snapshot(), in_trouble()], AT),
    }
    for name, text in pages.items():
        (tmp_path / f"{name}.html").write_text(text)

    async def main() -> None:
        async with Chromium.started(tmp_path / "profile") as browser:
            for name in pages:
                page = await browser.open(f"file://{tmp_path}/{name}.html")
                for scheme in ("light", "dark"):
                    await page.prefer(prefers_color_scheme=scheme)
                    for width in (360, 1280):
                        await page.resize(width, 800, phone=width < 500)
                        assert await page.evaluate(WIDER_THAN_THE_SCREEN) is False, (name, width)
                    assert await page.evaluate(CONTRAST) == 0
                # A file asks nobody for itself; the other one may ask only whoever served it.
                assert name == "node" or page.errors == []

    asyncio.run(main())
