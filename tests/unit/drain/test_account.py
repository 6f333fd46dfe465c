"""What became of each call, from what workers say of them."""

from __future__ import annotations

from edge.drain import Account, Entry, Fate, Seen

NODES = {"https://e2.example": "e2"}


def seen(call_id: str, fate: Fate, *, to: str = "", missing: int | None = None) -> Seen:
    return Seen(call_id=call_id, fate=fate, to=to, frames_missing=missing)


def fates(account: Account) -> dict[str, Fate]:
    return {entry.call_id: entry.fate for entry in account}


def test_each_call_has_one_fate_and_the_last_word_stands() -> None:
    account = Account()
    assert account.take(0, [seen("a", Fate.STAYS), seen("b", Fate.STAYS)], NODES, closing=False) == []
    asked = seen("a", Fate.ASKED, to="https://e2.example")
    (entry,) = account.take(0, [asked, seen("b", Fate.REFUSED)], NODES, closing=False)[:1]
    assert (entry.fate, entry.node) == (Fate.ASKED, "e2")
    moved = seen("a", Fate.MOVED, to="https://e2.example", missing=0)
    account.take(0, [moved, seen("b", Fate.ENDED)], NODES, closing=False)
    assert account.take(0, [moved, seen("b", Fate.ENDED)], NODES, closing=True) == []
    assert fates(account) == {"a": Fate.MOVED, "b": Fate.ENDED}
    assert account.left == 0
    assert account.counts()[Fate.MOVED] == 1


def test_calls_that_were_over_before_are_none_of_its_business() -> None:
    account = Account()
    account.take(0, [seen("old", Fate.ENDED), seen("older", Fate.MOVED)], NODES, closing=False)
    assert fates(account) == {}


def test_who_is_closed_at_the_deadline_has_not_hung_up() -> None:
    account = Account()
    account.take(0, [seen("a", Fate.STAYS), seen("b", Fate.ASKED)], NODES, closing=False)
    changed = account.take(0, [seen("a", Fate.ENDED), seen("b", Fate.MOVED)], NODES, closing=True)
    assert [entry.fate for entry in changed] == [Fate.CLOSED, Fate.MOVED]


def test_a_worker_takes_its_calls_along_and_no_others() -> None:
    account = Account()
    account.take(0, [seen("a", Fate.STAYS)], NODES, closing=False)
    account.take(1, [seen("b", Fate.STAYS), seen("c", Fate.STAYS)], NODES, closing=False)
    account.take(1, [seen("b", Fate.STAYS), seen("c", Fate.MOVED)], NODES, closing=False)
    assert account.worker_died(1) == [Entry(call_id="b", worker=1, fate=Fate.LOST)]
    assert fates(account) == {"a": Fate.STAYS, "b": Fate.LOST, "c": Fate.MOVED}
    assert account.left == 1


def test_a_connection_that_turns_out_to_continue_another_call_is_none() -> None:
    """It would be waited for for ever."""
    account = Account()
    account.take(0, [seen("a", Fate.STAYS), seen("b", Fate.STAYS)], NODES, closing=False)
    account.take(0, [seen("a", Fate.ENDED)], NODES, closing=False)
    account.take(0, [], NODES, closing=False)
    assert fates(account) == {"a": Fate.ENDED}


def test_a_call_that_has_come_back_is_up() -> None:
    """It was here before, was handed over, and has been handed back: the worker remembers the first time, too."""
    account = Account()
    before = seen("a", Fate.MOVED, to="https://e2.example")
    for _ in range(2):
        assert account.take(0, [before, seen("a", Fate.STAYS)], NODES, closing=False) == []
        assert (fates(account), account.left) == ({"a": Fate.STAYS}, 1)
    (entry,) = account.take(0, [before, seen("a", Fate.ENDED)], NODES, closing=False)
    assert (entry.fate, account.left) == (Fate.ENDED, 0)


def test_a_call_that_goes_on_at_another_worker_of_the_node_is_up() -> None:
    """Its first worker was leaving after a reload, and has handed it over to the newer one."""
    account = Account()
    account.take(0, [seen("a", Fate.ASKED)], NODES, closing=False)
    gone = seen("a", Fate.MOVED)
    for _ in range(2):
        account.take(0, [gone], NODES, closing=False)
        account.take(1, [seen("a", Fate.STAYS)], NODES, closing=False)
        assert (fates(account), account.left) == ({"a": Fate.STAYS}, 1)
    account.take(0, [gone], NODES, closing=False)
    assert account.left == 1
    account.take(1, [seen("a", Fate.MOVED, to="https://e2.example")], NODES, closing=False)
    account.take(0, [gone], NODES, closing=False)
    assert [(entry.fate, entry.node) for entry in account] == [(Fate.MOVED, "e2")]
