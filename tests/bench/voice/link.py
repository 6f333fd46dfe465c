"""The network that everything crosses: callers, a transit system and one edge with a real node, and the peers' servers.

    c1, c2, ... --(delay, loss)-- t1 -- e1

All that a caller's packets meet is on its own link, whose delay is half a round trip. The node is started as the lab
starts its fleet; the peers' servers run beside it, in the same namespace.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from voice.backend import NAME

from edge.errors import EdgeError
from edge.lab.certificates import write_certificate
from edge.lab.impairment import Impairment
from edge.lab.lab import Lab
from edge.lab.nodes import (
    SERVICE_NAME,
    SERVICE_PORT,
    Fleet,
    FleetOptions,
    node_config,
    start_node,
    toml_text,
)
from edge.lab.parts import Bgp, End, Link, Node, Role
from edge.lab.topologies import FLEET_AS
from edge.lab.topology import Topology
from edge.lab.faults import Fault
