"""libopus by its C interface: the few functions that `edge.backend.opus` is made of.

PyAV's wheel, which this project locks, brings a libopus of its own, but FFmpeg's doorway to it has neither
packet loss concealment nor in-band FEC. This is the direct one, to the same library, so that no node has to
install another; where PyAV was built from source it is the system's.

Raises `UsageError` at import where there is none.
"""

import ctypes
from collections.abc import Iterator
from ctypes.util import find_library
from importlib.util import find_spec
from pathlib import Path

from edge.errors import UsageError

# opus_defines.h; an application, requests of opus_encoder_ctl and opus_decoder_ctl.
APPLICATION_VOIP = 2048
SET_BITRATE = 4002
SET_INBAND_FEC = 4012
SET_PACKET_LOSS_PERC = 4014
GET_LOOKAHEAD = 4027
RESET_STATE = 4028


def _places() -> Iterator[str]:
    """Where libopus may be, best first."""
    pyav = find_spec("av")
    if pyav is not None and pyav.origin is not None:
        # Wheel repair tools put the libraries of `av` into `av.libs` beside it.
        yield from sorted(map(str, Path(pyav.origin).parents[1].glob("av.libs/libopus*.so*")))
    system = find_library("opus")
    if system is not None:
        yield system


def _load() -> ctypes.CDLL:
    for place in _places():
        try:
            return ctypes.CDLL(place)
        except OSError:
            continue
    raise UsageError("libopus: not found; install PyAV's wheel (pip install av) or Debian's libopus0")


LIB = _load()

_STATE = ctypes.c_char_p  # memory that we own, of opus_*_get_size bytes
for _name, _result, _arguments in (
    ("opus_strerror", ctypes.c_char_p, [ctypes.c_int]),
    ("opus_get_version_string", ctypes.c_char_p, []),
    ("opus_decoder_get_size", ctypes.c_int, [ctypes.c_int]),
    ("opus_decoder_init", ctypes.c_int, [_STATE, ctypes.c_int32, ctypes.c_int]),
    (
        "opus_decode",
        ctypes.c_int,
        [_STATE, ctypes.c_char_p, ctypes.c_int32, ctypes.c_char_p, ctypes.c_int, ctypes.c_int],
    ),
    ("opus_encoder_get_size", ctypes.c_int, [ctypes.c_int]),
    ("opus_encoder_init", ctypes.c_int, [_STATE, ctypes.c_int32, ctypes.c_int, ctypes.c_int]),
    (
        "opus_encode",
        ctypes.c_int32,
        [_STATE, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int32],
    ),
    # Both take more arguments, of the request's types.
    ("opus_encoder_ctl", ctypes.c_int, [_STATE, ctypes.c_int]),
    ("opus_decoder_ctl", ctypes.c_int, [_STATE, ctypes.c_int]),
):
    _function = getattr(LIB, _name)
    _function.restype, _function.argtypes = _result, _arguments


def version() -> str:
    """``libopus 1.6.1``"""
    return str(LIB.opus_get_version_string().decode())
