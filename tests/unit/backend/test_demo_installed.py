"""A node without flite, or without the libraries, refuses to start with this backend and says what to install."""

import pytest

from edge.backend import demo
from edge.backend.demo import installed
from edge.errors import UsageError


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match=r"^backend 'demo': not installed: flite \(apt-get install flite\)$"):
        _ = demo.DemoBackend
    monkeypatch.setattr(installed, "find_spec", lambda name: None)
    with pytest.raises(
        UsageError, match=r"pocketsphinx \(pip install 'anycast-edge\[demo\]'\), webrtcvad .*, flite"
    ):
        _ = demo.DemoBackend


@pytest.mark.needs("flite")
def test_where_everything_is_there_it_is_loaded() -> None:
    assert demo.DemoBackend.__module__ == "edge.backend.demo.agent"


def test_there_is_nothing_else_in_it() -> None:
    with pytest.raises(AttributeError, match="DemoBakend"):
        _ = demo.DemoBakend
