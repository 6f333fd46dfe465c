"""Finding a backend by its name."""

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from edge.backend import base
from edge.backend.echo import EchoBackend
from edge.backend.story import StoryBackend
from edge.errors import UsageError


def test_shipped_backends_are_found_by_name() -> None:
    assert base.load_backend("echo") is EchoBackend
    assert base.load_backend("story") is StoryBackend


def test_an_unknown_name_is_answered_with_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"backend 'ecco': not installed; choose one of .*echo, .*story"):
        base.load_backend("ecco")


@pytest.mark.parametrize("value", ["no.such.module:Backend", "edge.backend.echo:NoSuchBackend"])
def test_a_broken_registration_says_what_is_wrong(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoints([EntryPoint("broken", value, base.ENTRY_POINTS)])
    monkeypatch.setattr(base, "entry_points", lambda group: broken)
    with pytest.raises(UsageError, match=rf"backend 'broken': {value} cannot be loaded: "):
        base.load_backend("broken")
