"""Stories about routing as a stranger plays them: each holds, and each fails by its check with what it must fail with."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest
from who import CALLERS

from edge.lab.scenarios import SCENARIOS

pytestmark = [
    pytest.mark.needs("bird", "bgpd", "nft"),
    # Whom a story belongs to makes no difference to it: once is enough, as whoever may least.
    pytest.mark.parametrize("caller", [list(CALLERS)[-1]], indirect=True),
]

CHECKS = {
    "cascade": {
        "dark_s",
        "departures",
        "edges_shedding",
        "refused",
        "unanswered",
        "calls_lost",
        "frames_missing",
        "served_after",
    },
    "damping": {
        "suppressed",
        "departures",
        "waves_sat_out",
        "penalty_error_ratio",
        "routed_at_end",
        "dark_s",
    },
    "partition": {
        "departures",
        "dark_s",
        "edges_shedding",
        "held_by_few",
        "held_by_no_view",
        "whole_s",
        "left_after",
    },
    "crash-loop": {
        "departures",
        "suppressed",
        "waits_too_short",
        "dark_s",
        "served_meanwhile",
        "calls_lost",
        "back_s",
    },
    "pinned": {
        "calls_lost",
        "frames_missing",
        "frames_altered",
        "migrated",
        "departures",
        "strays_forwarded",
        "answers_forwarded",
        "forwards_dropped",
    },
    "roaming": {
        "calls_lost",
        "calls_resumed",
        "frames_missing",
        "frames_altered",
        "reconnects_unneeded",
        "resume_p95_s",
        "over_websocket_and_back",
    },
    "node-loss": {
        "struck",
        "not_struck",
        "outage_s",
        "calls_resumed",
        "resume_p95_s",
        "said_twice",
        "told_wrong",
        "frames_missing",
        "frames_altered",
        "others_lost",
        "others_missing",
    },
    "reset": {
        "calls_lost",
        "connections_reset",
        "calls_resumed",
        "resume_p95_s",
        "said_twice",
        "frames_missing",
        "frames_altered",
        "resets_forged",
        "connections_forged_away",
    },
    "key-rotation": {
        "rotated",
        "generations_kept",
        "nodes_agree",
        "calls_lost",
        "frames_missing",
        "frames_altered",
        "newcomers_served",
    },
    "hot-upgrade": {
        "reloaded",
        "calls_lost",
        "frames_missing",
        "frames_altered",
        "frames_counted",
        "served",
        "moved",
        "served_by_the_new",
        "old_workers_left",
    },
    "drain": {
        "drained",
        "calls_moved",
        "calls_left",
        "served_elsewhere",
        "slowest_ms",
        "calls_lost",
        "frames_missing",
        "frames_altered",
        "new_calls_elsewhere",
        "reannounced",
    },
    "nlb": {
        "calls_lost",
        "frames_missing",
        "frames_altered",
        "targets_serving",
        "ports_changed",
        "rotated",
        "strays_before",
        "strays_passed_on",
        "answers_passed_on",
        "forwards_dropped",
        "unknown_server_ids",
        "newcomers_served",
    },
    "prepend": {
        "moved_at_deprefer",
        "move_ms",
        "kept_in_reserve",
        "new_calls_elsewhere",
        "fall_back_ms",
        "dark_s",
        "new_calls_caught",
        "plain_again",
        "calls_lost",
        "frames_missing",
    },
}
STILL_PASS = {
    "cascade": {"edges_shedding", "frames_missing"},
    "damping": {"dark_s"},
    "partition": {"edges_shedding"},
    "crash-loop": {"dark_s", "back_s"},
    "pinned": {"migrated", "departures"},
    "roaming": set(),
    "node-loss": {"struck", "not_struck", "outage_s", "others_lost"},
    "reset": {"resets_forged", "connections_forged_away"},
    "key-rotation": {"rotated", "newcomers_served"},
    "hot-upgrade": {"reloaded", "served", "old_workers_left"},
    "drain": {"calls_left", "new_calls_elsewhere", "reannounced"},
    "nlb": {"targets_serving", "rotated", "unknown_server_ids"},
    "prepend": {"calls_lost", "frames_missing"},
}
"""What goes wrong must not look as if everything did. Calls placed on routes that come and go may have luck or not."""

USUAL = (
    "cascade",
    "damping",
    "prepend",
    "pinned",
    "key-rotation",
    "roaming",
    "reset",
    "node-loss",
    "hot-upgrade",
    "drain",
    "nlb",
)
LABS_AT_ONCE = 2


async def play(caller: Any, scenario: str, *options: str) -> tuple[int, str, dict[str, bool]]:
    """Exit code, last line, and what became of each check."""
    out = caller.home / "-".join((scenario, *options))
    process = await asyncio.create_subprocess_exec(
        *caller.command(sys.executable, "-P", "-m", "edge.cli", "lab", "run", scenario),
        *("--out", str(out), *options),
        env=caller.environment,
        cwd=caller.home,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    stdout, stderr = await process.communicate()
    sys.stdout.write(stderr.decode())
    assert process.returncode is not None
    checks = json.loads((out / "report.json").read_text())["checks"]
    return process.returncode, stdout.decode().strip(), {check["name"]: check["passed"] for check in checks}


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    "scenario",
    # What the others tell, the matrix tells in short (`view_lost`, `restart_loop`).
    [pytest.param(name, marks=[] if name in USUAL else [pytest.mark.long]) for name in CHECKS],
)
def test_the_story_holds(caller: Any, scenario: str) -> None:
    code, last, passed = asyncio.run(play(caller, scenario))
    assert passed == dict.fromkeys([*CHECKS[scenario], "residue"], True)
    assert (code, last) == (0, f"lab {scenario}: PASS")


@pytest.mark.long
@pytest.mark.timeout(400)
def test_what_must_fail_fails_by_its_check(caller: Any) -> None:
    ways = [
        (scenario, option, check)
        for scenario in CHECKS
        for option, check in SCENARIOS[scenario].failures.items()
    ]

    async def play_all() -> list[tuple[int, str, dict[str, bool]]]:
        room = asyncio.Semaphore(LABS_AT_ONCE)

        async def play_so(scenario: str, option: str) -> tuple[int, str, dict[str, bool]]:
            async with room:
                return await play(caller, scenario, *option.split())

        return await asyncio.gather(*(play_so(scenario, option) for scenario, option, _ in ways))

    for (scenario, option, check), (code, last, passed) in zip(ways, asyncio.run(play_all()), strict=True):
        assert (code, last) == (1, f"lab {scenario}: FAIL"), option
        assert not passed[check], option
        assert STILL_PASS[scenario] | {"residue"} <= {name for name, ok in passed.items() if ok}, option
