"""The guard that the fleet file makes possible: whether somebody is left when nodes leave, by what every node says itself.

A node's own guard knows the others by BGP, if at all. This one asks them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from edge.fleet.sighting import Observed


def nobody_left(leaving: Collection[str], fleet: Mapping[str, Observed]) -> str:
    """What nobody would announce any more if ``leaving`` left: a sentence, empty if there is no such thing.

    Who does not answer is not counted upon.
    """
    lost = {prefix for name in leaving if name in fleet for prefix in fleet[name].serves}
    for name, seen in fleet.items():
        if name not in leaving:
            lost -= seen.serves
    if not lost:
        return ""
    who = " and ".join(sorted(leaving))
    silent = sorted(name for name, seen in fleet.items() if name not in leaving and not seen.answers)
    unknown = f" ({', '.join(silent)} did not answer)" if silent else ""
    return f"{who} would leave {', '.join(sorted(lost))} without any node that announces{unknown}"
