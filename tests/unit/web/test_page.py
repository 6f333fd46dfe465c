"""The browser client's files: what is served, as what, and what never is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.runtime.page import Page
from edge.runtime.session_api import Request


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "web"
    (folder / "parts").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>call</title>")
    (folder / "call.js").write_text("export {};")
    (folder / "parts" / "ring.js").write_text("// worklet")
    (folder / "style.css").write_text("body {}")
    (folder / "__init__.py").write_text("secret = 1")
    (folder / "notes").write_text("none of the types")
    (tmp_path / "outside.js").write_text("// outside")
    return folder


@pytest.mark.parametrize(
    "path,content_type",
    [
        ("/", "text/html; charset=utf-8"),
        ("/index.html", "text/html; charset=utf-8"),
        ("/call.js", "text/javascript; charset=utf-8"),
        ("/parts/ring.js", "text/javascript; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
    ],
)
def test_files_have_strict_headers(folder: Path, path: str, content_type: str) -> None:
    page = Page(folder)
    assert path in page
    given = page.answer(Request("GET", path))
    assert given.status == 200
    assert given.headers["content-type"] == content_type
    assert given.headers["x-content-type-options"] == "nosniff"
    policy = given.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_what_is_not_a_file_of_the_page_is_not_there(folder: Path) -> None:
    page = Page(folder)
    for path in (
        "/__init__.py",
        "/notes",
        "/parts",
        "/parts/",
        "/../outside.js",
        "/parts/../call.js",
        "//call.js",
    ):
        assert path not in page


def test_a_file_that_the_client_has_is_not_sent_again(folder: Path) -> None:
    page = Page(folder)
    etag = page.answer(Request("GET", "/call.js")).headers["etag"]
    again = page.answer(Request("GET", "/call.js", {"if-none-match": f'W/"x", {etag}'}))
    assert (again.status, again.body) == (304, b"")
    other = page.answer(Request("GET", "/style.css", {"if-none-match": etag}))
    assert other.status == 200


def test_a_page_is_for_reading(folder: Path) -> None:
    given = Page(folder).answer(Request("POST", "/"))
    assert (given.status, given.headers["allow"]) == (405, "GET, HEAD")


def test_over_the_wire(serve: Callable[..., Any], folder: Path) -> None:
    """Paths arrive as clients write them: encoded, with dots, with a query."""

    async def main() -> None:
        async with serve(page=folder) as site, asyncio.timeout(20):
            async with site.client.get(site.url("/?lang=de")) as response:
                assert response.status == 200
                assert response.headers["Server"] == "edge"
                assert await response.text() == "<!doctype html><title>call</title>"
            async with site.client.head(site.url("/call.js")) as response:
                assert response.headers["Content-Length"] == "10"
                assert await response.read() == b""
            for path in (
                b"/../outside.js",
                b"/%2e%2e/outside.js",
                b"/parts/..%2f..%2foutside.js",
                b"/..\\outside.js",
                b"/etc/passwd",
                b"//etc/passwd",
                b"/index.html%00.js",
            ):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", site.port, ssl=site.trust, server_hostname="127.0.0.1"
                )
                writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                given = await reader.read()
                assert given.startswith(b"HTTP/1.1 4"), (path, given)
                assert b"outside" not in given.partition(b"\r\n\r\n")[2].replace(
                    b"outside.js is not here", b""
                )
                writer.close()
                await writer.wait_closed()

    asyncio.run(main())


def test_without_a_page_there_is_none(serve: Callable[..., Any]) -> None:
    async def main() -> None:
        async with serve() as site, site.client.get(site.url("/")) as response:
            assert response.status == 404

    asyncio.run(main())
