"""A node that only makes moves it is allowed, restarts whenever it likes and has its clocks tampered with.

The reference is a router for each neighbor: it hears what the node says, counts as RFC 2439 does, and neither
restarts nor looks at a clock. Whatever happens, the ledger knows of at least the penalty that the router has, and
what the node chose to do never took a router beyond the budget.
"""

import shutil
import tempfile
from ipaddress import ip_address
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bgp.clocks import Clocks
from bgp.damping import PROFILES
from bgp.ledger import Move
from bgp.ledger_file import LedgerFile
from bgp.neighbor import Advertisement
from bgp.route import parse_prefix

PREFIX = parse_prefix("192.0.2.0/24")
PLAIN = Advertisement(PREFIX, ip_address("198.51.100.99"), as_path=(64601,))
DEPREFERRED = Advertisement(PREFIX, ip_address("198.51.100.99"), as_path=(64601,) * 3)
DAMPING = {
    ip_address(f"198.51.100.{last}"): name for last, name in enumerate(("cisco", "junos", "ripe580"), 1)
}
# Rounding, and nothing else.
ALMOST = 1 + 1e-6

pauses = st.floats(min_value=0, max_value=4000)


class Router:
    """Keeps its own count. A session that ends while a route is heard is a withdrawal to those behind it."""

    def __init__(self, name: str) -> None:
        self.profile = PROFILES[name]
        self.penalty = 0.0
        self.heard: Advertisement | None = None
        self.has_history = False

    def pass_time(self, elapsed_s: float) -> None:
        self.penalty *= 0.5 ** (elapsed_s / self.profile.half_life_s)

    def hear(self, word: Advertisement | None) -> None:
        if word == self.heard:
            return
        if self.has_history:
            profile = self.profile
            cost = (
                profile.withdraw
                if word is None
                else profile.announce
                if self.heard is None
                else profile.change
            )
            self.penalty = min(self.penalty + cost, profile.ceiling)
        self.heard, self.has_history = word, True


class Node(RuleBasedStateMachine):
    @initialize()
    def boot(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="ledger-"))
        self.file = LedgerFile(self.directory / "ledger.json")
        self.routers = {neighbor: Router(name) for neighbor, name in DAMPING.items()}
        self.true_time = 1e6
        self.boots, self.booted_at = 0, self.true_time
        self.wall_error = 0.0
        self.start()

    def teardown(self) -> None:
        if hasattr(self, "directory"):
            shutil.rmtree(self.directory)

    # --- the world ------------------------------------------------------------------------------------------

    def clocks(self) -> Clocks:
        return Clocks(
            boot_id=f"boot-{self.boots}",
            boottime_s=self.true_time - self.booted_at,
            wallclock_s=self.true_time + self.wall_error,
        )

    def now(self) -> float:
        """The process's own clock, which begins anywhere."""
        return self.true_time - self.started_at + 77.0

    def start(self) -> None:
        self.started_at = self.true_time
        self.ledger, problem = self.file.load(DAMPING, (PREFIX,), clocks=self.clocks(), now=self.now())
        assert problem == ""
        self.save()

    def save(self) -> None:
        self.file.save(self.ledger.state(self.now()), self.clocks())

    def say(self, word: Advertisement | None) -> None:
        for neighbor, router in self.routers.items():
            router.hear(word)
            self.ledger.heard(neighbor, PREFIX, word, self.now())
        self.save()

    def pass_time(self, elapsed_s: float) -> None:
        self.true_time += elapsed_s
        for router in self.routers.values():
            router.pass_time(elapsed_s)

    @property
    def word(self) -> Advertisement | None:
        return next(iter(self.routers.values())).heard

    # --- what may happen ------------------------------------------------------------------------------------

    @rule(elapsed_s=pauses)
    def wait(self, elapsed_s: float) -> None:
        self.pass_time(elapsed_s)

    @rule(move=st.sampled_from(Move), patient=st.booleans())
    def want(self, move: Move, patient: bool) -> None:
        wait_s = self.ledger.allowance(self.now()).wait_s[move]
        if patient:
            self.pass_time(wait_s)
            assert self.ledger.allowance(self.now()).wait_s[move] == 0
        elif wait_s > 0:
            return
        is_heard = self.word is not None
        if is_heard != (move is not Move.ANNOUNCE):
            return
        others = {PLAIN: DEPREFERRED, DEPREFERRED: PLAIN, None: PLAIN}
        self.say(None if move is Move.WITHDRAW else others[self.word])
        for router in self.routers.values():
            assert router.penalty <= router.profile.budget * ALMOST

    @precondition(lambda self: self.word is not None)
    @rule()
    def fail(self) -> None:
        """Nobody asks the ledger, and everybody charges."""
        self.say(None)

    @rule(gone_s=pauses, step_s=st.floats(min_value=-1e6, max_value=1e6))
    def crash(self, gone_s: float, step_s: float) -> None:
        """The wall clock may go anywhere: nobody rebooted."""
        self.lose_sessions()
        self.pass_time(gone_s)
        self.wall_error += step_s
        self.start()

    @rule(
        gone_s=pauses,
        up_ratio=st.floats(min_value=0, max_value=1),
        back_s=st.floats(min_value=0, max_value=1e6),
    )
    def reboot(self, gone_s: float, up_ratio: float, back_s: float) -> None:
        """The wall clock may have gone back, but no further forward than time did."""
        self.lose_sessions()
        self.pass_time(gone_s)
        self.boots += 1
        self.booted_at = self.true_time - gone_s * up_ratio
        self.wall_error -= back_s
        self.start()

    def lose_sessions(self) -> None:
        """No word of it reaches the ledger or its file."""
        for router in self.routers.values():
            router.hear(None)

    # --- what must hold -------------------------------------------------------------------------------------

    @invariant()
    def the_ledger_knows_at_least_what_the_router_does(self) -> None:
        for neighbor, router in self.routers.items():
            assert self.ledger.penalty(neighbor, PREFIX, self.now()) * ALMOST >= router.penalty


Node.TestCase.settings = settings(max_examples=60, stateful_step_count=25)
TestNode = Node.TestCase
