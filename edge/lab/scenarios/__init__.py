"""Stories that the lab can play; each is judged by counting at its ends."""

from __future__ import annotations

from edge.lab.faults import FAULTS
from edge.lab.scenarios.drain import FAULTS as DRAIN_FAULTS
from edge.lab.scenarios.hot_upgrade import FAULTS as UPGRADE_FAULTS
from edge.lab.scenarios.key_rotation import FAULTS as ROTATION_FAULTS
from edge.lab.scenarios.matrix import ROWS
from edge.lab.scenarios.matrix_faults import LACKS
from edge.lab.scenarios.nlb import FAULTS as NLB_FAULTS
from edge.lab.scenarios.node_loss import FAULTS as LOSS_FAULTS
from edge.lab.scenarios.pinned import FAULTS as PINNED_FAULTS
from edge.lab.scenarios.reset import FAULTS as RESET_FAULTS
from edge.lab.scenarios.roaming import FAULTS as ROAMING_FAULTS
from edge.lab.scenarios.scenario import Scenario

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "overload",
            "a node is overloaded, withdraws its route, and nobody on it misses a frame",
            "edge.lab.scenarios.overload:play",
            faults={name: fault.check for name, fault in FAULTS.items()},
        ),
        Scenario(
            "pinned",
            "callers that stay on anycast while its routes come and go: their packets find the edge that knows them",
            "edge.lab.scenarios.pinned:play",
            faults={name: fault.check for name, fault in PINNED_FAULTS.items()},
        ),
        Scenario(
            "roaming",
            "callers whose own network changes, stops and comes back: every word arrives, once",
            "edge.lab.scenarios.roaming:play",
            faults={name: fault.check for name, fault in ROAMING_FAULTS.items()},
            needs_nft=True,
        ),
        Scenario(
            "reset",
            "a node that has lost its connections says so, and calls go on; a middlebox says so, and nobody minds",
            "edge.lab.scenarios.reset:play",
            faults=RESET_FAULTS,
        ),
        Scenario(
            "drain",
            "an edge is emptied while people talk: its callers go on at the others, and nobody hears it",
            "edge.lab.scenarios.drain:play",
            faults=DRAIN_FAULTS,
        ),
        Scenario(
            "node-loss",
            "a node dies with all its calls: each goes on on another node, where it was, and nothing is said twice",
            "edge.lab.scenarios.node_loss:play",
            faults={name: fault.check for name, fault in LOSS_FAULTS.items()},
        ),
        Scenario(
            "key-rotation",
            "the fleet's keys are replaced while people talk, and nobody hears it",
            "edge.lab.scenarios.key_rotation:play",
            faults=ROTATION_FAULTS,
        ),
        Scenario(
            "hot-upgrade",
            "the workers of all edges are replaced by new ones while sixty people talk, and nobody hears it",
            "edge.lab.scenarios.hot_upgrade:play",
            faults=UPGRADE_FAULTS,
        ),
        Scenario(
            "nlb",
            "behind a balancer as AWS has them, callers get new ports, the fleet new keys, and a node leaves",
            "edge.lab.scenarios.nlb:play",
            faults=NLB_FAULTS,
        ),
        Scenario(
            "cascade",
            "everywhere more callers than the fleet can take: everybody sheds, nobody leaves",
            "edge.lab.scenarios.cascade:play",
            policies={"naive": "dark_s", "hysteresis": "dark_s"},
        ),
        Scenario(
            "matrix",
            "everything that can happen to a node, row by row, each with its deadline",
            "edge.lab.scenarios.matrix:play",
            faults={name: ", ".join(lack.rows) for name, lack in LACKS.items()},
            speakers=("exabgp", "bird"),
            rows=tuple(row.name for row in ROWS),
            needs_frr=True,
        ),
        Scenario(
            "damping",
            "waves of overload at an edge whose router punishes flaps: its routes are never suppressed",
            "edge.lab.scenarios.damping:play",
            ledgers={"off": "suppressed"},
            needs_frr=True,
        ),
        Scenario(
            "partition",
            "overloaded edges that see too few of the others, or nobody: they stay until they see again",
            "edge.lab.scenarios.partition:play",
            faults={"blind": "departures"},
        ),
        Scenario(
            "crash-loop",
            "an edge that dies again and again: its router sees no more flaps than it forgives",
            "edge.lab.scenarios.crash_loop:play",
            faults={"eager": "departures"},
            needs_frr=True,
        ),
        Scenario(
            "prepend",
            "an overloaded edge becomes less preferred: new calls go elsewhere, its route stays in reserve",
            "edge.lab.scenarios.prepend:play",
            faults={"deaf-upstream": "moved_at_deprefer"},
        ),
        Scenario(
            "conversation",
            "a caller is understood, answered, and interrupts, while packets and its edge's routes are lost",
            "edge.lab.scenarios.conversation:play",
            faults={"no-preferred-address": "migrated_ratio", "far-ahead": "wasted_ms"},
            needs_demo=True,
        ),
    )
}
