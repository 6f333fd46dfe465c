"""Packets between the nodes of a fleet: strays to their owners, and answers back. Pure."""

from edge.forward.forwarder import (
    Delivery,
    ForwardCounters,
    Forwarder,
    Member,
    ReturnPath,
    Sending,
)

__all__ = ["Delivery", "ForwardCounters", "Forwarder", "Member", "ReturnPath", "Sending"]
