"""Pings by the clock that the test holds."""

from edge.runtime.pings import MAX_UNANSWERED, Pings


def test_the_round_trip_time_is_smoothed() -> None:
    pings = Pings()
    for at, rtt_s in ((0.0, 0.125), (2.0, 0.25)):
        assert pings.look()
        payload = pings.sent(at)
        pings.answered(payload, at + rtt_s)
        pings.answered(payload, at + 1.5)  # a second time
    assert pings.rtt_s == 0.125 + 0.125 / 8


def test_pongs_that_answer_nothing_prove_nothing() -> None:
    """Unsolicited ones are allowed (RFC 6455 section 5.5.3), and anybody can guess what others have sent."""
    pings = Pings()
    pings.answered(b"1", 0.0)
    assert pings.look()
    pings.answered(b"1", 0.0)  # it has not left yet
    first = pings.sent(1.0)
    pings.answered(first + b"x", 1.5)
    assert pings.rtt_s is None


def test_one_is_on_its_way_and_is_waited_for_so_many_looks() -> None:
    pings = Pings()
    assert pings.look()
    payload = pings.sent(0.0)
    for _ in range(MAX_UNANSWERED - 1):
        assert pings.look()
        assert pings.due is None
    pings.answered(payload, 9.0)  # at the last moment
    assert [pings.look() for _ in range(MAX_UNANSWERED + 1)] == [True] * MAX_UNANSWERED + [False]
