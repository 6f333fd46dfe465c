"""What a node hands out, in the form of its documents: a node that does well, and changes to make of it another."""

from __future__ import annotations

import copy
from typing import Any

from edge.statuspage import Snapshot

AT = 1_790_000_000.0

STATUS: dict[str, Any] = {
    "apiVersion": "edge/v1",
    "kind": "NodeStatus",
    "node": "ams-1",
    "site": "ams",
    "version": "0.1.0",
    "time": AT,
    "started_at": AT - 93_784.0,
    "config": {"hash": "0123456789ab", "file": "/etc/edge/node.toml", "changed_on_disk": False},
    "lease": None,
    "operation": None,
    "state": "announced",
    "reason": "3 self-probes in a row passed (needs 3)",
    "announced": True,
    "deprefer": False,
    "hold": None,
    "drain": None,
    "pressure": 0.44,
    "pressure_signal": "calls",
    "pressures": {
        "cpu": 0.31,
        "loop_lag_s": 0.06,
        "handshakes_per_s": 0.02,
        "calls": 0.44,
        "socket_drops_per_s": 0.0,
        "backend_queue": 0.1,
    },
    "admission": "accepting",
    "refuse_probability": 0.0,
    "refusal_ratio": 0.0,
    "calls": 22,
    "connections": {"migrated": 19, "on_anycast": 2, "direct": 1},
    "probe": {"passed": 9312, "failed": 0, "problem": ""},
    "bgp": {
        "pid": 812,
        "prefixes": ["192.0.2.0/24", "2001:db8:1::/48"],
        "neighbors": {"198.51.100.1": "up", "198.51.100.2": "up"},
    },
    "workers": [
        {"worker": 0, "pid": 801, "generation": 1, "version": "0.1.0", "calls": 12},
        {"worker": 1, "pid": 802, "generation": 1, "version": "0.1.0", "calls": 10},
    ],
    "generations": [],
    "keys": {"version": 3, "issue": 2, "in_use": [3], "connections": {}},
    "problems": [],
    "decisions": [],
}

EXPLANATION: dict[str, Any] = {
    "apiVersion": "edge/v1",
    "kind": "NodeExplanation",
    "node": "ams-1",
    "site": "ams",
    "time": AT,
    "state": "announced",
    "since_s": 10_922.0,
    "announced": True,
    "deprefer": False,
    "reason": "3 self-probes in a row passed (needs 3)",
    "hold": None,
    "explanation": {
        "state": "announced",
        "in_effect": "announced",
        "since_s": 10_922.0,
        "reason": "",
        "held_by": [],
        "ways": [],
    },
    "numbers": {
        "pressure": 0.44,
        "pressure_signal": "calls",
        "by_signal": {"calls": 0.44},
        "admission": "accepting",
        "refusal_ratio": 0.0,
        "load_calls": 22.0,
        "capacity_calls": 50.0,
    },
    "view": {
        "problem": "",
        "nodes": [],
        "others": {"synced": True, "announcing": 2, "spare": 61.0, "claimant": "", "settled_s": 900.0},
    },
    "ledger": {"penalty": 0.0, "budget": None, "where": "", "entries": []},
    "probe": {"passed": 9312, "failed": 0, "problem": ""},
    "bgp": {"neighbors": {"198.51.100.1": "up", "198.51.100.2": "up"}},
    "decisions": [
        {
            "at_wall": AT - 93_700,
            "from": "starting",
            "to": "announced",
            "carried_out": True,
            "reason": "3 self-probes in a row passed (needs 3)",
        },
        {
            "at_wall": AT - 11_600,
            "from": "announced",
            "to": "depreferred",
            "carried_out": True,
            "reason": "overloaded for 30 s: pressure 0.91 by calls (limit 0.85), 4.2 % of newcomers refused",
        },
        {
            "at_wall": AT - 10_922,
            "from": "depreferred",
            "to": "announced",
            "carried_out": True,
            "reason": "calm for 2 min: pressure 0.51 (limit 0.6)",
        },
    ],
}

PEERS: dict[str, Any] = {
    "apiVersion": "edge/v1",
    "kind": "BgpPeers",
    "node": "ams-1",
    "peers": [
        {
            "address": address,
            "role": role,
            "asn": asn,
            "state": "up",
            "since_s": since_s,
            "last_reason": reason,
            "damping": "cisco",
            "received": 0,
            "bfd": bfd,
        }
        for address, role, asn, since_s, reason, bfd in (
            ("198.51.100.1", "upstream", 64500, 93_690.0, "", "up"),
            ("198.51.100.2", "fleet", 64601, 11_100.0, "hold timer expired", None),
        )
    ],
}


def snapshot(**status: Any) -> Snapshot:
    return Snapshot(
        name="ams-1",
        status=copy.deepcopy(STATUS) | status,
        explanation=copy.deepcopy(EXPLANATION) | {"node": status.get("node", "ams-1")},
        peers=copy.deepcopy(PEERS),
    )


def in_trouble() -> Snapshot:
    """Everything at once that a node can want to be looked at for."""
    return snapshot(
        node="fra-1",
        site="fra",
        version="0.2.0",
        state="held",
        reason="held by the operator",
        announced=False,
        hold={
            "reason": "a new disk",
            "since": AT - 200,
            "kind": "withdraw",
            "who": "alice",
            "until": None,
            "drain": {},
        },
        drain={
            "phase": "handing-over",
            "since_s": 12.0,
            "hand_over": True,
            "deadline_in_s": 340.0,
            "left": 3,
            "fates": {"moved": 14, "asked": 3, "ended": 2},
        },
        lease={"who": "alice", "what": "upgrade to 0.2.0", "since": AT - 240, "until": AT + 50},
        operation={"kind": "upgrade", "interrupted": True, "advice": "go on with: edgectl upgrade --resume"},
        config={"hash": "fedcba987654", "file": "/etc/edge/node.toml", "changed_on_disk": True},
        pressure=0.93,
        pressure_signal="cpu",
        pressures={"cpu": 0.93, "loop_lag_s": 0.62, "calls": 0.2},
        admission="refusing",
        refuse_probability=0.4,
        calls=3,
        problems=["$.keys.file: /etc/edge/keys/ring.toml: no permission"],
        bgp={"pid": 7, "prefixes": ["192.0.2.0/24"], "neighbors": {"198.51.100.9": "down"}},
    )
