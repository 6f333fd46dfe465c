"""The policy against any history: inputs in any order, with jumps of time, views that lie in pieces, poor ledgers.

The invariants are those that routing control must not break whatever happens to it. They are stated over inputs and
outputs alone, and know nothing of the table.
"""

from ipaddress import IPv4Address

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bgp.conf import Damping
from bgp.ledger import UNLIMITED, Allowance, Ledger, Move
from bgp.neighbor import Advertisement
from bgp.params import Mode
from bgp.policy import Decision, Policy, PolicyInput, PolicyParams, State
from bgp.route import Route
from bgp.view import NO_VIEW, Others

PARAMS = PolicyParams()
SHORTEST = {
    State.DEPREFERRED: PARAMS.deprefer_hold_s * (1 - PARAMS.hold_jitter_ratio),
    State.WITHDRAWN: PARAMS.withdraw_hold_s * (1 - PARAMS.hold_jitter_ratio),
    State.ANNOUNCED: PARAMS.deprefer_hold_s * (1 - PARAMS.hold_jitter_ratio),
}
ANNOUNCING = {State.ANNOUNCED, State.DEPREFERRED}
LADDER = [State.ANNOUNCED, State.DEPREFERRED, State.WITHDRAWN]
ROUNDING_S = 1e-6
ROUTE = Route.parse("192.0.2.0/24")
PROFILES: list[Damping] = ["cisco", "junos", "ripe580"]
NEIGHBORS = {IPv4Address(f"198.51.100.{last}"): profile for last, profile in enumerate(PROFILES, 1)}

Known = dict[str, object]
HEALTH = [{"probes_passed": passed} for passed in (0, 2, 3)] + [
    {"probes_passed": 0, "probes_failed": failed} for failed in (2, 3, 9)
]
BUSY = {"pressure": 0.93, "refusal_ratio": 0.05, "shedding": True}
CALM: Known = {"pressure": 0.2, "refusal_ratio": 0.0, "shedding": False}
BROKEN: Known = {"probes_passed": 0, "probes_failed": 3}
LOADS = [CALM, {"pressure": 0.7}, {"pressure": 0.93, "shedding": True}, BUSY]

views = st.one_of(
    st.just(NO_VIEW),
    st.builds(
        Others,
        problem=st.sampled_from(["", "", "", "reflectors silent"]),
        synced=st.booleans(),
        announcing=st.integers(0, 4),
        spare=st.sampled_from([0.0, 26.4, 26.5, 1e9, float("inf")]),
        claimant=st.sampled_from(["", "", "203.0.113.1"]),
        settled_s=st.sampled_from([0.0, 29.9, 30.0, float("inf")]),
    ),
)
ROOM = {"problem": "", "synced": True, "announcing": 3, "spare": 1000.0}
# Each lacks one thing only, so that it is this that must refuse.
lacking = st.sampled_from(
    [
        {"problem": "reflectors silent"},
        {"announcing": 1},
        {"announcing": 0, "synced": False},
        {"announcing": 0},
        {"spare": 26.4},
        {"settled_s": 29.9},
        {"claimant": "203.0.113.1"},
    ]
).map(lambda lack: Others(**(ROOM | lack)))

WELL: Known = {
    "probes_passed": 3,
    "probes_failed": 0,
    "unicast_failed": 0,
    "defect": "",
    "others": Others(**ROOM),
    "allowance": UNLIMITED,
    "hold": "none",
    "start_wait_s": 0.0,
}
allowances = st.builds(
    Allowance, st.fixed_dictionaries({move: st.sampled_from([0.0, 0.0, 1.0, float("inf")]) for move in Move})
)
obstacles = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"others": lacking}),
    st.fixed_dictionaries({"allowance": allowances}),
    st.fixed_dictionaries({"hold": st.sampled_from(["withdraw", "announce"])}),
    st.sampled_from([{"probes_passed": 2}, {"defect": "old"}, BROKEN, BROKEN | {"unicast_failed": 3}]),
    lacking.map(lambda others: BROKEN | {"others": others, "unicast_failed": 3}),
)


class AnyHistory(RuleBasedStateMachine):
    """Every rule changes some of what is known, or lets time pass."""

    def __init__(self) -> None:
        super().__init__()
        self.given = PolicyInput(
            now=1000.0,
            probes_passed=3,
            probes_failed=0,
            pressure=0.2,
            refusal_ratio=0.0,
            shedding=False,
            load=24.0,
        )
        self.taken: list[Decision] = []
        self.claimed_at: float | None = None
        self.away_since: float | None = None

    @initialize(mode=st.sampled_from(["act", "act", "observe"]))
    def start(self, mode: Mode) -> None:
        self.policy = Policy(PARAMS, mode=mode)
        self.mode = mode

    def know(self, **changes: object) -> None:
        self.given = msgspec.structs.replace(self.given, **changes)

    @rule(
        health=st.sampled_from(HEALTH),
        unicast_failed=st.sampled_from([0, 3]),
        defect=st.sampled_from(["", "", "old"]),
    )
    def health(self, health: dict[str, int], unicast_failed: int, defect: str) -> None:
        self.know(**({"probes_failed": 0} | health), unicast_failed=unicast_failed, defect=defect)

    @rule(load=st.sampled_from(LOADS))
    def load(self, load: Known) -> None:
        self.know(**({"refusal_ratio": 0.0, "shedding": False} | load))

    @rule(others=views)
    def others(self, others: Others) -> None:
        self.know(others=others)

    @rule(allowance=allowances)
    def allowance(self, allowance: Allowance) -> None:
        self.know(allowance=allowance)

    @rule(
        hold=st.sampled_from(["none", "none", "withdraw", "announce"]),
        start_wait_s=st.sampled_from([0.0, 0.0, 30.0]),
    )
    def operator(self, hold: str, start_wait_s: float) -> None:
        self.know(hold=hold, start_wait_s=start_wait_s)

    @rule(
        load=st.sampled_from([BUSY, BUSY, CALM]),
        obstacle=obstacles,
        steps=st.sampled_from([1, 40, 70, 200]),
        step_s=st.sampled_from([1.0, 10.0]),
        jitter=st.floats(-1, 1),
        delay=st.floats(0, 1),
    )
    def all_is_well_but_one_thing(
        self, load: Known, obstacle: Known, steps: int, step_s: float, jitter: float, delay: float
    ) -> None:
        """Or most histories would be spent in trouble of several kinds, and no rung would ever be reached."""
        self.know(**(WELL | load))
        self.know(**obstacle)
        self.time_passes(steps, step_s, jitter, delay)

    @rule(
        trouble=st.sampled_from([BROKEN, {"defect": "old"}, {"hold": "withdraw"}]),
        busy_s=st.sampled_from([60, 150]),
        well_s=st.integers(1, 600),
    )
    def trouble_on_a_rung(self, trouble: Known, busy_s: int, well_s: int) -> None:
        """Load, then trouble, then neither: no way round the hold may lead through it."""
        self.know(**(WELL | BUSY))
        self.time_passes(busy_s, 1.0, 0.0, 0.0)
        self.know(**trouble)
        self.time_passes(1, 1.0, 0.0, 0.0)
        self.know(**(WELL | CALM))
        self.time_passes(well_s, 1.0, 0.0, 0.0)

    @rule(
        steps=st.integers(1, 40),
        step_s=st.sampled_from([0.0, 0.2, 5.0, 20.0]),
        jitter=st.floats(-1, 1),
        delay=st.floats(0, 1),
    )
    def time_passes(self, steps: int, step_s: float, jitter: float, delay: float) -> None:
        for _ in range(steps):
            self.decide(step_s, jitter, delay)

    @rule(jump_s=st.sampled_from([1e3, 1e5, 1e9]))
    def the_clock_jumps(self, jump_s: float) -> None:
        """A machine that was suspended, or a clock that was set."""
        self.decide(jump_s, 0.0, 0.0)

    def decide(self, step_s: float, jitter: float, delay: float) -> None:
        self.know(now=self.given.now + step_s)
        self.look_at_ledger()
        before, claimed = self.policy.state, self.claimed_at
        decision = self.policy.decide(self.given, jitter=jitter, delay=delay)
        if decision is None:
            assert self.policy.state is before, "a state changed without a decision"
        else:
            assert (decision.before, decision.after) == (before, self.policy.state)
            assert before is not self.policy.state
            assert decision.reason
            self.check(decision, claimed)
            self.taken.append(decision)
            self.charge_ledger(decision)
        if not self.policy.wants_to_move:
            self.claimed_at = None
        elif claimed is None:
            self.claimed_at = self.given.now

    def look_at_ledger(self) -> None:
        """Here allowances are as arbitrary as the rest; see `WithLedger`."""

    def charge_ledger(self, decision: Decision) -> None:
        """See `WithLedger`."""

    def check(self, decision: Decision, claimed_at: float | None) -> None:
        given, before, after = self.given, decision.before, decision.after
        wait_s, others = given.allowance.wait_s, given.others
        if decision.voluntary:
            assert {before, after} <= set(LADDER)
            self.check_spacing(decision)
        if decision.voluntary and after is not State.ANNOUNCED:
            assert given.hold == "none"
            assert not others.problem
            assert others.announcing >= PARAMS.min_announcing
            assert others.spare > PARAMS.spare_ratio * given.load
            assert others.settled_s >= PARAMS.settle_s
            assert not others.claimant
            assert LADDER.index(after) == LADDER.index(before) + 1
            assert wait_s[Move.CHANGE if after is State.DEPREFERRED else Move.WITHDRAW] == 0
            if after is State.WITHDRAWN:
                assert given.now - self.taken[-1].at >= PARAMS.withdraw_after_s - ROUNDING_S
            if self.mode == "act":
                assert claimed_at is not None
                assert given.now - claimed_at >= PARAMS.claim_min_s - ROUNDING_S
        if after is State.ANNOUNCED:
            assert given.probes_passed >= PARAMS.probes_to_announce
            assert not given.defect
            price = wait_s[Move.CHANGE if before is State.DEPREFERRED else Move.ANNOUNCE]
            assert price == 0 or given.hold == "announce"
            sure = not others.problem and others.synced and others.announcing == 0
            if self.away_since is not None and not sure and given.hold != "announce":
                assert given.now - self.away_since >= SHORTEST[State.WITHDRAWN] - ROUNDING_S
            self.away_since = None
        if (before, after) == (State.DEPREFERRED, State.WITHDRAWN) and decision.carried_out:
            self.away_since = given.now

    def check_spacing(self, decision: Decision) -> None:
        """One voluntary move in a hold at most, and that one upwards. Other moves in between shorten nothing."""
        earlier = [one for one in self.taken if one.voluntary]
        if earlier and decision.at - earlier[-1].at < SHORTEST[earlier[-1].after] - ROUNDING_S:
            assert (earlier[-1].after, decision.after) == (State.DEPREFERRED, State.WITHDRAWN)

    @invariant()
    def it_announces_only_what_it_may(self) -> None:
        if not self.taken or not self.policy.announce:
            return
        # `taken` is not empty, so the input that is known now may be newer than the last decision; ask again.
        self.decide(0.0, 0.0, 0.0)
        if not self.policy.announce:
            return
        given = self.given
        assert given.hold != "withdraw"
        assert not given.defect
        assert self.policy.state not in (State.FENCED, State.HELD, State.STARTING)
        if given.probes_failed >= PARAMS.probes_to_fence:
            # Only the last of all is kept although it seems to be broken.
            others = given.others
            assert not others.problem
            assert others.synced
            assert others.announcing == 0
            assert others.settled_s >= PARAMS.settle_s
            assert given.unicast_failed < PARAMS.probes_to_fence

    @invariant()
    def what_it_says_fits_together(self) -> None:
        policy = self.policy
        assert policy.announce == (policy.in_effect in ANNOUNCING)
        assert policy.deprefer == (policy.in_effect is State.DEPREFERRED)
        assert not policy.wants_to_move or self.mode == "act"
        explained = policy.explain(self.given)
        assert explained.state is policy.state
        assert explained.held_by


class WithLedger(AnyHistory):
    """Neighbors of each profile count what the policy really does to them, fences and operators included."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(NEIGHBORS, [ROUTE.prefix])

    def look_at_ledger(self) -> None:
        self.know(allowance=self.ledger.allowance(self.given.now))

    def charge_ledger(self, decision: Decision) -> None:
        now = self.given.now
        path = (64500,) * (3 if self.policy.deprefer else 1)
        heard = Advertisement(ROUTE.prefix, IPv4Address("198.51.100.11"), as_path=path)
        for neighbor in NEIGHBORS:
            self.ledger.heard(neighbor, ROUTE.prefix, heard if self.policy.announce else None, now)
        chosen = decision.voluntary or decision.after is State.ANNOUNCED
        if decision.carried_out and chosen and self.given.hold != "announce":
            for standing in self.ledger.standings(now):
                assert standing.penalty <= standing.budget * (1 + 1e-6)


TestPolicy = AnyHistory.TestCase
TestPolicy.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
TestPolicyWithLedger = WithLedger.TestCase
TestPolicyWithLedger.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
