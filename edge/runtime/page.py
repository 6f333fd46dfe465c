"""The files of the browser client, read once and served as they are.

What can be asked for is what was there at the start: a name is looked up, and never becomes a path.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources.abc import Traversable
from types import MappingProxyType

from edge.runtime.session_api import Answer, Request, error

CONTENT_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "html": "text/html; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "mjs": "text/javascript; charset=utf-8",
        "css": "text/css; charset=utf-8",
        "json": "application/json",
        "svg": "image/svg+xml",
        "png": "image/png",
        "ico": "image/x-icon",
    }
)
"""Other files are not served."""
INDEX = "index.html"

HEADERS: Mapping[str, str] = MappingProxyType(
    {
        # A call may be handed to any node of the fleet; everything else comes from this one.
        "content-security-policy": "; ".join(
            (
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "img-src 'self' data:",
                "connect-src 'self' https: wss:",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            )
        ),
        "permissions-policy": "microphone=(self)",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        # Together these two let the page share memory with its audio worklet.
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-embedder-policy": "require-corp",
        "cross-origin-resource-policy": "same-origin",
        # Asked for each time and answered by a 304: no client runs half of the last release.
        "cache-control": "no-cache",
    }
)


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    content_type: str
    etag: str


class Page:
    """``folder`` holds the page, `INDEX` first of all; in its folders, too, files of `CONTENT_TYPES` count."""

    def __init__(self, folder: Traversable) -> None:
        self._files = {f"/{name}": file for name, file in _read(folder, "")}
        if f"/{INDEX}" in self._files:
            self._files["/"] = self._files[f"/{INDEX}"]

    def __contains__(self, path: str) -> bool:
        return path in self._files

    def answer(self, request: Request) -> Answer:
        """The file that ``request`` asks for; it must be there."""
        if request.method not in ("GET", "HEAD"):
            return error(
                HTTPStatus.METHOD_NOT_ALLOWED, f"{request.path} answers to GET, HEAD", allow="GET, HEAD"
            )
        file = self._files[request.path]
        headers = {**HEADERS, "content-type": file.content_type, "etag": file.etag}
        if file.etag in request.headers.get("if-none-match", ""):
            return Answer(HTTPStatus.NOT_MODIFIED, headers, b"")
        return Answer(HTTPStatus.OK, headers, file.body)


def _read(folder: Traversable, prefix: str) -> Iterator[tuple[str, _File]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _read(entry, f"{prefix}{entry.name}/")
        elif (content_type := CONTENT_TYPES.get(entry.name.rpartition(".")[2])) is not None:
            body = entry.read_bytes()
            digest = hashlib.sha256(body).hexdigest()
            yield f"{prefix}{entry.name}", _File(body, content_type, f'"{digest[:32]}"')
