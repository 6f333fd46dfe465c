"""What supervisor and worker say to each other is understood by the one it is for."""

from __future__ import annotations

from typing import get_args

import pytest

from edge.runtime.messages import Message, ToSupervisor, ToWorker


@pytest.mark.parametrize("message", Message.__subclasses__(), ids=lambda message: message.__name__)
def test_each_message_has_one_side_that_reads_it(message: type[Message]) -> None:
    """One that its reader leaves alone would be an order that nobody carries out."""
    assert (message in get_args(ToWorker)) != (message in get_args(ToSupervisor))
