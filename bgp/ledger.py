"""What our changes have cost with other people's routers, and what more we can afford.

For each (neighbor, prefix) the ledger keeps the penalty that the neighbor's router would have by now, and from
that says when a voluntary move keeps everybody within the budget of `bgp.damping`. It only counts: changes that
nobody chose, like a failure, are charged as well, and may exceed any budget; then every move waits.

Where routers differ we charge more. A lost session is charged as a withdrawal: FRR 8.4 then charges nothing and
forgets what it had counted for the prefix (or charges a change, if the session is back at once), but routers
further away see a withdrawal like any other. A process that died while it announced has withdrawn, too.

Pure: ``now`` is in seconds on one monotonic clock. `bgp.ledger_file` carries the ledger over restarts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Final, Self

import msgspec

from bgp.conf import Damping
from bgp.damping import PROFILES, Profile
from bgp.neighbor import Advertisement
from bgp.route import Address, Prefix, parse_address, parse_prefix


class Move(Enum):
    """A voluntary change of what a neighbor hears."""

    CHANGE = "change"
    """Other attributes: to de-prefer, or to be plain again after that."""
    WITHDRAW = "withdraw"
    ANNOUNCE = "announce"
    """Again, after a withdrawal."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What can be afforded: ``wait_s[move]`` is how long until ``move`` keeps every neighbor within its budget.

    0 is now; ``penalty`` and ``budget`` are those of the neighbor and prefix that are nearest to their budget,
    named by ``where`` (empty when no neighbor counts).
    """

    wait_s: dict[Move, float]
    penalty: float = 0.0
    budget: float = float("inf")
    where: str = ""


UNLIMITED: Final = Allowance(dict.fromkeys(Move, 0.0))


@dataclass(frozen=True, slots=True)
class Standing:
    """How we stand with one neighbor for one prefix.

    ``reuse_in_s`` is how long its router probably goes on ignoring the prefix if nothing more happens; 0 if it
    probably does not ignore it.
    """

    neighbor: Address
    prefix: Prefix
    penalty: float
    budget: float
    reuse_in_s: float


class LedgerEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line to keep. ``announced`` means that the neighbor was hearing the prefix at that moment."""

    neighbor: str
    prefix: str
    penalty: Annotated[float, msgspec.Meta(ge=0)]
    suppressed: bool
    announced: bool

    def __post_init__(self) -> None:
        self.key()  # what cannot be parsed makes the whole file damaged

    def key(self) -> tuple[Address, Prefix]:
        return parse_address(self.neighbor), parse_prefix(self.prefix)


LedgerState = tuple[LedgerEntry, ...]


class Ledger:
    """The accounts of every (neighbor, prefix) that counts; what it is told of others, it ignores.

    ``damping`` names upstream neighbors only.
    """

    def __init__(self, damping: Mapping[Address, Damping], prefixes: Iterable[Prefix]) -> None:
        everything = tuple(prefixes)
        self._accounts = {
            (neighbor, prefix): _Account(PROFILES[name])
            for neighbor, name in damping.items()
            if name in PROFILES
            for prefix in everything
        }

    @classmethod
    def restored(
        cls,
        damping: Mapping[Address, Damping],
        prefixes: Iterable[Prefix],
        state: LedgerState,
        *,
        age_s: float,
        now: float,
    ) -> Self:
        """The ledger of a process before this one, whose ``state`` is ``age_s`` old.

        Nothing of that process is heard any more, so what it announced is charged as withdrawn, and charged as
        if that had happened this moment.
        """
        ledger = cls(damping, prefixes)
        for entry in state:
            account = ledger._accounts.get(entry.key())
            if account is not None:
                account.restore(entry, age_s, now)
        return ledger

    @classmethod
    def assuming_the_worst(
        cls, damping: Mapping[Address, Damping], prefixes: Iterable[Prefix], *, now: float
    ) -> Self:
        """Without any memory: every budget is used up, by prefixes that have been heard before."""
        ledger = cls(damping, prefixes)
        for account in ledger._accounts.values():
            account.is_known = True
            account.charge(account.profile.budget, now)
        return ledger

    def heard(
        self, neighbor: Address, prefix: Prefix, advertisement: Advertisement | None, now: float
    ) -> bool:
        """From now on the neighbor hears ``advertisement``; None is nothing. True if that was a change."""
        account = self._accounts.get((neighbor, prefix))
        return account is not None and account.hear(advertisement, now)

    def session_lost(self, neighbor: Address, now: float) -> bool:
        """The neighbor hears nothing of us any more. True if it heard something before."""
        lost = [
            account.hear(None, now) for (address, _), account in self._accounts.items() if address == neighbor
        ]
        return any(lost)

    def penalty(self, neighbor: Address, prefix: Prefix, now: float) -> float:
        """In points; 0 for what does not count."""
        account = self._accounts.get((neighbor, prefix))
        return 0.0 if account is None else account.penalty_at(now)

    def penalties(self, now: float) -> dict[tuple[Address, Prefix], float]:
        return {key: account.penalty_at(now) for key, account in self._accounts.items()}

    def standings(self, now: float) -> tuple[Standing, ...]:
        return tuple(
            Standing(*key, account.penalty_at(now), account.profile.budget, account.reuse_in_s(now))
            for key, account in self._accounts.items()
        )

    def allowance(self, now: float) -> Allowance:
        """A move is charged to every account alike, whatever each neighbor hears at this moment: a session that
        is down now may be up when the move is made."""
        if not self._accounts:
            return UNLIMITED
        accounts = self._accounts.values()
        wait_s = {move: max(account.wait_s(move, now) for account in accounts) for move in Move}
        (neighbor, prefix), nearest = max(
            self._accounts.items(), key=lambda item: item[1].penalty_at(now) / item[1].profile.budget
        )
        return Allowance(wait_s, nearest.penalty_at(now), nearest.profile.budget, f"{prefix} at {neighbor}")

    def state(self, now: float) -> LedgerState:
        """What must outlive this process. What has never been heard costs nothing, now or later."""
        return tuple(
            LedgerEntry(
                neighbor=str(neighbor),
                prefix=str(prefix),
                penalty=account.penalty_at(now),
                suppressed=account.reuse_in_s(now) > 0,
                announced=account.advertisement is not None,
            )
            for (neighbor, prefix), account in self._accounts.items()
            if account.is_known
        )


@dataclass(slots=True)
class _Account:
    """One (neighbor, prefix). ``penalty`` was right at ``since``; ``is_known`` once anything was announced."""

    profile: Profile
    penalty: float = 0.0
    since: float = 0.0
    advertisement: Advertisement | None = None
    is_known: bool = False
    was_suppressed: bool = False

    def penalty_at(self, now: float) -> float:
        return self.profile.decayed(self.penalty, now - self.since)

    def reuse_in_s(self, now: float) -> float:
        if not self.was_suppressed:
            return 0.0
        return self.profile.decay_s(self.penalty_at(now), self.profile.reuse)

    def wait_s(self, move: Move, now: float) -> float:
        return self.profile.decay_s(self.penalty_at(now), self.profile.budget - self._cost(move))

    def hear(self, advertisement: Advertisement | None, now: float) -> bool:
        before, self.advertisement = self.advertisement, advertisement
        if advertisement == before:
            return False
        if advertisement is None:
            self.charge(self._cost(Move.WITHDRAW), now)
        elif before is not None:
            self.charge(self._cost(Move.CHANGE), now)
        elif self.is_known:
            self.charge(self._cost(Move.ANNOUNCE), now)
        self.is_known = True
        return True

    def charge(self, points: float, now: float) -> None:
        # Once suppressed, a prefix stays so until it has sunk below `reuse`, far below `suppress`.
        still_suppressed = self.reuse_in_s(now) > 0
        self.penalty = min(self.penalty_at(now) + points, self.profile.ceiling)
        self.since = now
        self.was_suppressed = still_suppressed or self.profile.suppresses(self.penalty)

    def restore(self, entry: LedgerEntry, age_s: float, now: float) -> None:
        self.is_known = True
        self.was_suppressed = entry.suppressed
        self.penalty = self.profile.decayed(entry.penalty, age_s)
        self.since = now
        self.charge(self._cost(Move.WITHDRAW) if entry.announced else 0.0, now)

    def _cost(self, move: Move) -> float:
        match move:
            case Move.CHANGE:
                return self.profile.change
            case Move.WITHDRAW:
                return self.profile.withdraw
            case Move.ANNOUNCE:
                return self.profile.announce
