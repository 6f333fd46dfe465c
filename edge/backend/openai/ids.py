"""Names of items and responses: the backend's on one side, ours on the other.

What the backend speaks is `item_N` of `resp_N` to a caller, as for every backend. All else keeps the backend's
name: a caller's speech, a text, a tool call. A name of the backend's that looks like one of ours gets a prefix,
so that no name means two things.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from edge.voice.control_base import item_id, response_id

REMEMBERED: Final = 1000
"""Spoken items. Of older ones a caller can no longer speak by name."""

_OURS = re.compile(r"(item|resp)_[0-9]{1,15}\Z")
_PREFIX = "x_"

_PLACES: Final = (
    ("item_id",),
    ("previous_item_id",),
    ("response_id",),
    ("item", "id"),
    ("response", "id"),
    ("response", "output", "*", "id"),
    ("response", "input", "*", "id"),
)
"""Where an event has names; ``*`` is each of a list."""


class UnknownNameError(LookupError):
    """A caller names an item or a response that there is not, or is not any more."""


class Names:
    """The names in use on one connection."""

    def __init__(self) -> None:
        self._ours: dict[str, str] = {}
        self._theirs: dict[str, str] = {}

    def add(self, number: int, item: str, response: str) -> None:
        """The backend speaks its ``item`` of its ``response`` as our item ``number``."""
        self._ours[item] = item_id(number)
        self._ours.setdefault(response, response_id(number))  # of two items in one, the first counts
        self._theirs[item_id(number)] = item
        self._theirs[response_id(number)] = response
        for names in (self._ours, self._theirs):
            while len(names) > 2 * REMEMBERED:
                del names[next(iter(names))]

    def clear(self) -> None:
        """The connection is gone, and its names with it."""
        self._ours.clear()
        self._theirs.clear()

    def for_caller(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """An event of the backend's, with our names."""
        return _renamed(event, self._to_ours)

    def for_backend(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """An event of a caller's, with the backend's names. Raises `UnknownNameError`."""
        return _renamed(event, self._to_theirs)

    def _to_ours(self, name: str) -> str:
        ours = self._ours.get(name)
        if ours is not None:
            return ours
        return _PREFIX + name if _OURS.match(name) or name.startswith(_PREFIX) else name

    def _to_theirs(self, name: str) -> str:
        if not _OURS.match(name):
            return name.removeprefix(_PREFIX)
        try:
            return self._theirs[name]
        except KeyError:
            raise UnknownNameError(name) from None


def _renamed(event: Mapping[str, Any], rename: Callable[[str], str]) -> dict[str, Any]:
    renamed = dict(event)
    for place in _PLACES:
        renamed = _replaced(renamed, place, rename)
    return renamed


def _replaced(value: Any, place: tuple[str, ...], rename: Callable[[str], str]) -> Any:
    """A copy of ``value`` with what is at ``place`` renamed; what is not a string there stays."""
    if not place:
        return rename(value) if isinstance(value, str) else value
    head, rest = place[0], place[1:]
    if head == "*":
        return [_replaced(each, rest, rename) for each in value] if isinstance(value, list) else value
    if isinstance(value, dict) and head in value:
        return {**value, head: _replaced(value[head], rest, rename)}
    return value
