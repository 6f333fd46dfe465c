"""The lead window's arithmetic: what may be written, believed and forgotten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.voice import PlayoutReport
from edge.voice.lead import (
    AUTO_MAX_MS,
    AUTO_MIN_MS,
    DEFAULT_LEAD_MS,
    LEAST_REPORTS,
    MOST_REPORTS,
    REPORT_VALID_S,
    LeadWindow,
)


def report(item: int, played_ms: int, *, buffered_ms: int = 0, ts_ms: int = 0) -> PlayoutReport:
    return PlayoutReport(item, played_ms, buffered_ms, underruns=0, highest_group=0, client_ts_ms=ts_ms)


def full_window() -> LeadWindow:
    """1000 ms of item 1 written at time 0, nothing reported."""
    window = LeadWindow(1000)
    window.write(1, 1000, 0.0)
    return window


def test_before_any_report_the_lead_is_all_there_is() -> None:
    assert LeadWindow(1000).budget_ms(0.0) == 1000
    window = full_window()
    assert window.budget_ms(3600.0) == 0
    assert window.opens_at(20) is None


def test_what_is_played_may_be_written_again() -> None:
    window = full_window()
    window.report(report(1, 340), 1.0)
    assert window.budget_ms(1.0) == 340


def test_between_reports_the_clock_counts_what_the_caller_holds() -> None:
    """It held 500 ms: they are played 500 ms later, but what came after the report nobody vouches for."""
    window = full_window()
    window.report(report(1, 100, buffered_ms=500), 1.0)
    assert [window.budget_ms(1.0 + s) for s in (0.0, 0.2, 0.5, 5.0)] == [100, 300, 600, 600]


def test_the_clock_counts_for_a_second_and_a_half_at_most() -> None:
    window = LeadWindow(5000)
    window.write(1, 5000, 0.0)
    window.report(report(1, 0, buffered_ms=5000), 1.0)
    assert window.budget_ms(1.0 + REPORT_VALID_S) == window.budget_ms(60.0) == 1500
    assert window.opens_at(1500) == 1.0 + REPORT_VALID_S
    assert window.opens_at(1520) is None


@given(
    now=st.floats(0, 1e6),
    played_ms=st.integers(0, 900),
    buffered_ms=st.integers(0, 1500),
    duration_ms=st.integers(1, 1000),
)
def test_a_timer_finds_the_window_open(
    now: float, played_ms: int, buffered_ms: int, duration_ms: int
) -> None:
    """One rounding the wrong way and a timer would fire for ever without a frame going out."""
    window = LeadWindow(1000)
    window.write(1, 1000, now)
    window.report(report(1, played_ms, buffered_ms=buffered_ms), now + 1)
    opens_at = window.opens_at(duration_ms)
    if opens_at is not None:
        assert window.budget_ms(max(opens_at, now + 1)) >= duration_ms


def test_the_latest_report_counts_however_late_it_comes() -> None:
    window = full_window()
    assert window.report(report(1, 600, ts_ms=700), 1.0)
    assert not window.report(report(1, 500, ts_ms=600), 1.1)
    assert window.budget_ms(1.1) == 600
    assert window.report(report(1, 601, ts_ms=700), 1.2)
    assert window.budget_ms(1.2) == 601


@pytest.mark.parametrize(
    "lie,budget_ms",
    [
        (report(1, 10**18), 800),
        (report(1, 0, buffered_ms=10**18), 200),
        (report(7, 500), 0),
        (report(0, 500), 0),
    ],
    ids=["played more than there was time for", "holds more than was written", "an item to come", "no item"],
)
def test_a_report_is_believed_as_far_as_it_can_be_true(lie: PlayoutReport, budget_ms: int) -> None:
    """A caller that lies gets no more than one that plays: 0.8 s after the first frame, 0.8 s later."""
    window = full_window()
    window.report(lie, 0.8)
    assert window.budget_ms(1.0) == budget_ms


def test_nobody_has_played_more_of_an_item_than_was_written_of_it() -> None:
    window = LeadWindow(1000)
    window.write(1, 200, 0.0)
    window.write(2, 800, 0.0)
    window.report(report(1, 900), 50.0)
    assert window.budget_ms(50.0) == 200


def test_items_share_one_timeline() -> None:
    window = full_window()
    window.report(report(1, 900), 1.0)
    window.write(2, 900, 1.0)
    window.report(report(2, 100, ts_ms=1), 1.3)
    assert window.budget_ms(1.3) == 200


def test_a_report_about_an_item_long_over_changes_nothing() -> None:
    window = full_window()
    window.write(2, 0, 1.0)
    window.report(report(2, 0, ts_ms=1), 2.0)
    window.report(report(1, 10, ts_ms=2), 2.0)
    assert window.budget_ms(2.0) == 1000


def test_what_the_caller_threw_away_is_not_ahead() -> None:
    window = full_window()
    window.report(report(1, 300, buffered_ms=700), 0.5)
    window.discard(1)
    assert window.budget_ms(0.5) == window.budget_ms(2.0) == 1000
    window.report(report(1, 310, ts_ms=1), 0.6)
    assert window.budget_ms(0.6) == 1000


def test_throwing_away_an_item_spares_the_next() -> None:
    """The cancellation of an item may arrive twice; the second must not open the window for its successor."""
    window = full_window()
    window.discard(1)
    window.write(2, 700, 1.0)
    window.discard(1)
    assert window.budget_ms(1.0) == 300
    window.discard(2)
    assert window.budget_ms(1.0) == 1000


def test_throwing_away_an_item_spares_the_one_before() -> None:
    """What is still being listened to is ahead, whatever becomes of its successor."""
    window = LeadWindow(1000)
    window.write(1, 600, 0.0)
    window.write(2, 400, 0.0)
    window.discard(2)
    assert window.budget_ms(0.0) == 400


def test_what_did_not_arrive_may_be_written_again() -> None:
    """After a reconnect: 1000 ms were written, and 300 ms of the second item arrived."""
    window = LeadWindow(2000)
    window.write(1, 600, 0.0)
    window.write(2, 1000, 0.0)
    window.write(3, 100, 0.0)
    window.rewind(2, 300)
    window.rewind(3, 0)
    assert window.budget_ms(0.0) == 1100
    window.write(2, 700, 0.1)
    window.report(report(2, 200), 1.0)
    assert window.budget_ms(1.0) == 1200


def test_the_clock_stands_while_the_caller_is_silent() -> None:
    """It held 800 ms, and then interrupted: nothing of that is played, and nothing may be written for it."""
    window = full_window()
    window.report(report(1, 100, buffered_ms=800), 0.2)
    window.hold()
    assert window.budget_ms(1.0) == 100
    window.report(report(1, 150, buffered_ms=800, ts_ms=1), 1.0)
    assert window.budget_ms(1.3) == 450


def test_another_connection_has_another_clock() -> None:
    """A caller that comes back as a new process counts from zero again; its reports must be taken."""
    window = full_window()
    assert window.report(report(1, 100, ts_ms=60_000), 0.5)
    window.reconnected()
    assert window.report(report(1, 200, ts_ms=10), 0.6)
    assert window.budget_ms(0.6) == 200


def test_after_a_reconnect_the_caller_must_say_that_it_plays() -> None:
    """It may have interrupted, and lost the connection before that arrived."""
    window = full_window()
    window.report(report(1, 100, buffered_ms=800), 0.2)
    window.reconnected()
    assert window.budget_ms(1.0) == 100


def test_a_shorter_lead_waits_until_the_longer_is_played() -> None:
    window = full_window()
    window.lead_ms = 200
    assert window.budget_ms(0.0) == -800
    window.report(report(1, 900), 1.0)
    assert window.budget_ms(1.0) == 100


def listen(window: LeadWindow, delays_s: list[float]) -> None:
    """A report every 100 ms, each so long under way."""
    for index, delay_s in enumerate(delays_s):
        window.report(report(0, 0, ts_ms=index * 100), 50.0 + index * 0.1 + delay_s)


def test_auto_begins_with_the_default() -> None:
    window = LeadWindow("auto")
    listen(window, [0.03] * (LEAST_REPORTS - 1))
    assert window.lead_ms == DEFAULT_LEAD_MS


@pytest.mark.parametrize(
    "delays_s,rtt_s,lead_ms",
    [
        ([0.03] * 200, 0.06, AUTO_MIN_MS),
        ([0.03] * 194 + [0.33] * 6, 0.06, 960),
        ([0.03] * 199 + [2.0], 0.06, AUTO_MIN_MS),
        ([0.03, 1.5] * 100, 0.06, AUTO_MAX_MS),
        ([0.9] * 200, 0.7, 700),
    ],
    ids=["calm", "3 in 100 are 300 ms late", "1 in 200 is late", "stormy", "far away"],
)
def test_auto_is_what_the_network_needs(delays_s: list[float], rtt_s: float, lead_ms: int) -> None:
    """3 times the jitter and a round trip; a constant delay, and the caller's clock, are no jitter."""
    window = LeadWindow("auto")
    window.set_rtt(rtt_s)
    listen(window, delays_s)
    assert window.lead_ms == pytest.approx(lead_ms, abs=1)
    assert window.budget_ms(100.0) == window.lead_ms


def test_auto_forgets_what_is_long_past() -> None:
    window = LeadWindow("auto")
    listen(window, [0.03, 1.5] * 100 + [0.03] * MOST_REPORTS)
    assert window.lead_ms == AUTO_MIN_MS


def test_a_chosen_lead_stands_whatever_the_network_does() -> None:
    window = LeadWindow("auto")
    window.choose(250)
    listen(window, [0.03, 1.5] * 100)
    assert window.lead_ms == 250
    window.choose("auto")
    assert window.lead_ms == AUTO_MAX_MS
