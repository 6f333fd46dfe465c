"""One session of a call: driven, carried on one connection after another, and accounted for.

A call has another one only when an edge does not know this one any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from itertools import batched
from typing import Protocol

from edge.client.leg import Leg, ms
from edge.client.summary import Account, SessionSummary, Transcribed
