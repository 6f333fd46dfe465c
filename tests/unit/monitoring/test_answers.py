"""What is said when a Prometheus does not answer, or somebody else does. What it answers is tested in the lab."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from edge.errors import EdgeError, UnreachableError
from edge.monitoring.answers import unanswered

SERIES = {
    "status": "success",
    "data": {"resultType": "vector", "result": [{"metric": {}, "value": [0, "1"]}]},
}
NOTHING = {"status": "success", "data": {"resultType": "vector", "result": []}}


@contextmanager
def answering(known: tuple[str, ...] | None, code: int = 200) -> Iterator[str]:
    """Has a series for whatever contains one of these; None: says something else altogether."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["content-length"])).decode()
            (query,) = urllib.parse.parse_qs(form)["query"]
            answer = {"hello": 1} if known is None else SERIES if any(k in query for k in known) else NOTHING
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def test_a_prometheus_that_has_everything() -> None:
    with answering(("",)) as url:
        assert unanswered(url) == []


def test_of_an_alert_the_series_that_is_missing_is_named() -> None:
    with answering(
        ("sum", "max", "count", "rate", "site:", "node:", "up", "ALERTS", "edge_b", "edge_p")
    ) as url:
        missing = unanswered(url)
    assert "edge_view_reliable" in missing  # EdgeViewUnreliable looks at it
    assert "edge_view_reliable == 0" not in missing


def test_an_empty_prometheus_answers_nothing() -> None:
    with answering(()) as url:
        missing = unanswered(url)
    assert 'up{job="edge"}' in missing
    assert len(missing) > 100


def test_whoever_else_answers_is_told_apart() -> None:
    with answering(None) as url, pytest.raises(EdgeError, match="not the answer of a Prometheus"):
        unanswered(url)
    with answering((), code=422) as url, pytest.raises(EdgeError, match="422 for"):
        unanswered(url)


def test_nobody_answers() -> None:
    with answering(()) as url:
        pass
    with pytest.raises(UnreachableError, match="is it a Prometheus, and is it up"):
        unanswered(url)
