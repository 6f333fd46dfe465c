"""The route table against a speaker that delays, refuses, forgets, invents and dies, in virtual time.

The reference keeps an adj-RIB-out as ExaBGP does and answers one line after the other. Whatever happened before,
a speaker that behaves from now on must end with exactly the routes that are wanted; and at no time may the
table believe in a silence that is not there.
"""

from collections import deque
from ipaddress import IPv4Address, IPv6Address

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bgp.neighbor import Neighbor
from bgp.route import Route
from bgp.table import RouteTable, SpeakerFailed

TIMEOUT = 3.0
INTERVAL = 5.0
NEIGHBORS = [
    Neighbor(
        IPv4Address(f"198.51.100.{last}"),
        IPv4Address("198.51.100.2"),
        64601,
        64501,
        frozenset({4, 6}),
        next_hop_v6=IPv6Address("2001:db8:ffff::2"),
    )
    for last in (1, 3)
]
PREFIXES = ["192.0.2.1/32", "203.0.113.0/24", "2001:db8::/48"]

routes = st.builds(
    Route.parse,
    st.sampled_from(PREFIXES),
    med=st.sampled_from([None, 50]),
    prepend=st.sampled_from([0, 2]),
    communities=st.sampled_from([[], ["graceful-shutdown"], ["no-export", "65000:1"]]),
)
prefixes = st.sampled_from([Route.parse(prefix).prefix for prefix in PREFIXES])


class ReferenceSpeaker:
    """What ExaBGP makes of commands. ``rib`` is neighbor and prefix to the attributes as they were written."""

    def __init__(self) -> None:
        self.rib: dict[tuple[str, str], str] = {}
        self.waiting: deque[str] = deque()

    def answer(self) -> list[str]:
        command = self.waiting.popleft()
        match command.split(" ", 5):
            case ["neighbor", address, "announce", "route", prefix, attributes]:
                self.rib[address, prefix] = attributes
            case ["neighbor", address, "withdraw", "route", prefix]:
                self.rib.pop((address, prefix), None)
            case ["show", "adj-rib", "out", "extensive"]:
                return [*self._shown(), "done"]
            case _:
                raise AssertionError(f"not a command: {command}")
        return ["done"]

    def pretend(self) -> list[str]:
        """Acknowledge and do nothing."""
        return ["done"] if not self.waiting.popleft().startswith("show") else [*self._shown(), "done"]

    def _shown(self) -> list[str]:
        return [
            f"neighbor {address} local-ip 198.51.100.2 local-as 64601 peer-as 64501 router-id 192.0.2.9 "
            f"family-allowed in-open ipv{6 if ':' in prefix else 4} unicast {prefix} "
            + attributes.replace("as-path [", "as-path (").replace("64601 ]", "64601 )")
            for (address, prefix), attributes in self.rib.items()
        ]


class RouteTableAgainstSpeaker(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.table = RouteTable(NEIGHBORS, command_timeout_s=TIMEOUT, reconcile_interval_s=INTERVAL)
        self.wanted: dict[str, Route] = {}
        self.speaker: ReferenceSpeaker | None = None
        self.failed = False
        # Set while the speaker has a route that the table can't know of before it looks again.
        self.tampered = False

    # --- the owner ---

    @rule(route=routes)
    def announce(self, route: Route) -> None:
        self.table.announce(route)
        self.wanted[str(route.prefix)] = route
        self.pump()

    @rule(prefix=prefixes)
    def withdraw(self, prefix: object) -> None:
        self.table.withdraw(prefix)  # type: ignore[arg-type]
        self.wanted.pop(str(prefix), None)
        self.pump()

    @rule()
    def withdraw_all(self) -> None:
        self.table.withdraw_all()
        self.wanted.clear()
        self.pump()

    @precondition(lambda self: self.speaker is None)
    @rule()
    def start(self) -> None:
        self.speaker, self.failed, self.tampered = ReferenceSpeaker(), False, False
        self.table.speaker_started(self.now)
        self.pump()

    @rule(seconds=st.sampled_from([0.01, 1.0, TIMEOUT, INTERVAL]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.table.handle_timer(self.now)
        self.pump()

    # --- the speaker ---

    def is_asked(self) -> bool:
        return self.speaker is not None and bool(self.speaker.waiting)

    @precondition(is_asked)
    @rule()
    def answer(self) -> None:
        # Whoever has just seen the table as it is knows about everything that happened before.
        self.tampered &= not self.speaker.waiting[0].startswith("show")
        self.hear(self.speaker.answer())

    @precondition(is_asked)
    @rule()
    def settle(self) -> None:
        for _ in range(50):
            if not self.speaker.waiting:
                return
            self.answer()
        raise AssertionError("it never stops talking")

    @precondition(is_asked)
    @rule()
    def refuse(self) -> None:
        self.speaker.waiting.popleft()
        self.hear(["error"])

    @precondition(is_asked)
    @rule()
    def pretend(self) -> None:
        self.tampered = True
        self.hear(self.speaker.pretend())

    @precondition(lambda self: self.speaker is not None and self.speaker.rib)
    @rule(data=st.data())
    def forget_a_route(self, data: st.DataObject) -> None:
        self.tampered = True
        del self.speaker.rib[data.draw(st.sampled_from(sorted(self.speaker.rib)))]

    @precondition(lambda self: self.speaker is not None)
    @rule(prefix=prefixes)
    def invent_a_route(self, prefix: object) -> None:
        self.tampered = True
        next_hop = "2001:db8::9" if ":" in str(prefix) else "198.51.100.9"
        self.speaker.rib["198.51.100.1", str(prefix)] = f"next-hop {next_hop}"

    @precondition(lambda self: self.speaker is not None)
    @rule()
    def die(self) -> None:
        self.speaker = None
        self.table.speaker_lost()
        self.pump()

    # --- what must be so ---

    def hear(self, lines: list[str]) -> None:
        for line in lines:
            self.table.receive_line(line, self.now)
        self.pump()

    def pump(self) -> None:
        while (event := self.table.next_event()) is not None:
            self.failed |= isinstance(event, SpeakerFailed)
        commands = self.table.commands_to_send(self.now)
        if commands:
            assert self.speaker is not None
            assert not self.failed
            self.speaker.waiting.extend(commands)

    def stands(self) -> bool:
        expected = {
            (str(neighbor.address), prefix): neighbor.advertisement(route)
            for neighbor in NEIGHBORS
            for prefix, route in self.wanted.items()
        }
        rib = self.speaker.rib
        return rib.keys() == expected.keys() and all(
            f"next-hop {wanted.next_hop} " in f"{rib[key]} "
            and (f"med {wanted.med}" in rib[key]) == (wanted.med is not None)
            and rib[key].count("64601") == len(wanted.as_path)
            and all(str(community) in rib[key] for community in wanted.communities)
            for key, wanted in expected.items()
        )

    @invariant()
    def one_command_at_a_time(self) -> None:
        assert self.speaker is None or self.failed or len(self.speaker.waiting) <= 1

    @invariant()
    def no_belief_without_a_look(self) -> None:
        if self.table.is_synchronized and not self.tampered:
            assert self.stands()

    @invariant()
    def silence_is_certain(self) -> None:
        if self.table.announces_nothing and not self.tampered:
            assert self.speaker is None or not self.speaker.rib

    def teardown(self) -> None:
        """From here on everything behaves; three intervals later the world must be as wanted."""
        for _ in range(3):
            if self.failed:
                self.die()
            if self.speaker is None:
                self.start()
            self.settle()
            self.wait(INTERVAL)
        self.settle()
        assert not self.failed
        assert self.table.is_synchronized
        assert self.stands()
        assert self.table.announces_nothing == (not self.wanted)


TestRouteTableAgainstSpeaker = RouteTableAgainstSpeaker.TestCase
TestRouteTableAgainstSpeaker.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
