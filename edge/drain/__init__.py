"""Emptying a node: which phase comes when, where its calls can go, and what became of each of them. Pure.

    withdrawing --- the speaker has taken the routes back ---> settling
    settling --- the routers send nobody here any more ---> handing-over, or ending
    handing-over, ending --- the deadline ---> closing
    any of the last three --- no call is left ---> empty

Who still arrives while it is withdrawing or settling is served: routers far away have not heard of it yet. From then on
nobody is let in. Calls are asked to go on at another node (``handing-over``), or are left to end (``ending``); what is
left at the deadline is closed.
"""

from edge.drain.account import Account, Entry, Fate, Seen
from edge.drain.phases import Ask, Close, Drain, DrainParams, Evidence, Phase
from edge.drain.targets import Candidate, Target, spread

__all__ = [
    "Account",
    "Ask",
    "Candidate",
    "Close",
    "Drain",
    "DrainParams",
    "Entry",
    "Evidence",
    "Fate",
    "Phase",
    "Seen",
    "Target",
    "spread",
]
