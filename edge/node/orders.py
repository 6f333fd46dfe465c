"""What the operator has ordered: to stay out, to stay in, or nothing; and the guard that asks twice."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

import msgspec

from bgp.view import Others
from edge.errors import EdgeError, RefusedError, UsageError
from edge.runtime.admin import AnnounceOrder, DrainOrder, WithdrawOrder
from edge.runtime.holds import Draining, Hold, HoldFile

log = logging.getLogger("edge.orders")


class Orders:
    """The standing order of one node, kept in the file ``path``. All times are of the wall clock."""

    def __init__(self, node: str, path: Path) -> None:
        self._node = node
        self._file = HoldFile(path)
        self._hold = self._file.read()

    def hold(self, now: float) -> Hold | None:
        """The hold in force at ``now``, None without one."""
        if self._hold is not None:
            before, self._hold = self._hold, self._hold.at(now)
            if self._hold is None:
                self._forget(before)
        return self._hold

    def kind(self, now: float) -> Literal["none", "withdraw", "announce"]:
        """The same in the words of the policy."""
        hold = self.hold(now)
        return "none" if hold is None else hold.kind

    def withdraw(self, order: WithdrawOrder, now: float, *, announced: bool, others: Others) -> None:
        """Hold the node out, and have it drained if the order says so. ``announced``: whether that takes a route away; ``others``: who is left then.

        Raises `RefusedError` if that may be nobody, `UsageError` and `EdgeError` if the hold cannot be, and then
        changes nothing.
        """
        if announced and not order.force:
            _check_someone_is_left(self._node, others)
        self._keep("withdraw", order, now)

    def announce(self, order: AnnounceOrder, now: float) -> None:
        """Pin the node if the order says so, else end any hold. Raises like `withdraw`."""
        if order.hold:
            self._keep("announce", order, now)
        else:
            self._file.clear()
            self._hold = None

    def _keep(
        self, kind: Literal["withdraw", "announce"], order: WithdrawOrder | AnnounceOrder, now: float
    ) -> None:
        if order.until is not None and order.until <= now:
            raise UsageError("this hold would be over already: 'until' has passed by the node's clock")
        drain = None
        if isinstance(order, DrainOrder):
            if order.deadline is not None and order.deadline <= now:
                raise UsageError(
                    "this drain would be over already: 'deadline' has passed by the node's clock"
                )
            drain = Draining(order.hand_over, order.deadline)
        hold = Hold(order.reason, now, kind, order.who, order.until, drain)
        before = self.hold(now)
        if before is not None and before.kind == kind and before.since and not order.reason:
            # Said again, at most with another end, or to drain it now or no more: who held it first, and why, is worth
            # more than who came last. (A damaged file has no `since`, and nothing worth to keep.)
            hold = msgspec.structs.replace(before, until=order.until, drain=drain)
        self._file.write(hold)
        self._hold = hold

    def _forget(self, ended: Hold) -> None:
        log.info('event=hold_ended kind=%s who=%s reason="%s"', ended.kind, ended.who, ended.reason)
        try:
            self._file.clear()
        except EdgeError as error:
            # The next start reads it, and finds again that it is over.
            log.warning('event=hold_file_stays problem="%s"', error)


def _check_someone_is_left(node: str, others: Others) -> None:
    if others.problem:
        raise RefusedError(
            f"{node} may be the last to announce, for who else does is not known: {others.problem}; "
            "--force withdraws it all the same"
        )
    if others.announcing == 0:
        raise RefusedError(
            f"{node} is the last to announce: no other node is seen announcing (see edgectl bgp routes "
            "--as-seen-by reflector); --force withdraws it all the same"
        )
