"""What supervisor and worker say to each other is understood by the one it is for."""

from __future__ import annotations

import pytest

from edge.runtime import messages
from edge.runtime.messages import Message


@pytest.mark.parametrize("message", Message.__subclasses__(), ids=lambda message: message.__name__)
def test_each_message_can_be_read_by_exactly_one_side(message: type[Message]) -> None:
    """One that its reader does not know ends the worker, and with it every call there."""
    name = message.__name__
    known = [
        "Invalid value" not in problem
        for decode in (messages.decode_to_worker, messages.decode_to_supervisor)
        for problem in [_problem(decode, name)]
    ]
    assert known.count(True) == 1


def _problem(decode: object, name: str) -> str:
    assert callable(decode)
    try:
        decode(f'{{"type":"{name}"}}'.encode())
    except ValueError as error:  # a field is missing
        return str(error)
    return ""
