"""All dashboards, in the order in which one looks when something is wrong."""

from __future__ import annotations

from typing import Final

from edge.monitoring.board_calls import CALLS_BOARD
from edge.monitoring.board_fleet import FLEET_BOARD
from edge.monitoring.board_node import NODE_BOARD
from edge.monitoring.board_routing import ROUTING_BOARD

BOARDS: Final = (FLEET_BOARD, NODE_BOARD, CALLS_BOARD, ROUTING_BOARD)
