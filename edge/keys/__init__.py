"""The fleet's key ring. Pure: secrets and times are given."""

from edge.keys.document import parse, render
from edge.keys.ring import SECRET_BYTES, Generation, KeyRing, KeyRingError, Purpose

__all__ = ["SECRET_BYTES", "Generation", "KeyRing", "KeyRingError", "Purpose", "parse", "render"]
