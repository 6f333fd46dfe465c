"""What passes between a worker and its recogniser; see `edge.backend.demo.recogniser`."""

import struct
from typing import Final

import msgspec

RATE_HZ: Final = 16_000
"""What the recogniser's model was trained with: PCM of 16 bit, mono."""

HEADER = struct.Struct(">I")
"""In front of a record of PCM: its bytes. 0 ends the turn."""
MAX_RECORD = RATE_HZ * 2


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a call's process says: ``pid`` once; then of the turn in hand ``words`` so far, all of them if ``final``."""

    pid: int = 0
    words: str = ""
    final: bool = False
