"""What holds between the two ends of a call: the lead, the deadlines, and what follows from them."""

from edge.voice import control
from edge.voice.deadline import Deadlines, worth_datagrams
from edge.voice.lead import Lead


class Agreement:
    """Settings as the caller has chosen them, or as the edge began."""

    def __init__(self, session_id: str, lead: Lead, deadlines: Deadlines) -> None:
        self.session_id = session_id
        self.lead = lead
        self.deadlines = deadlines
        self.rtt_s: float | None = None
        self._told: control.DeadlineChanged | None = None

    def choose(self, settings: control.SessionSettings) -> None:
        """Take over what is chosen and leave the rest as it is."""
        if settings.lead_ms is not None:
            self.lead = settings.lead_ms
        if settings.deadline is not None:
            self.deadlines = control.deadlines(settings.deadline, self.deadlines)

    def state(self) -> control.SessionState:
        deadline = control.DeadlineState(self.deadlines.uplink_ms, self.deadlines.downlink_ms)
        return control.SessionState(id=self.session_id, lead_ms=self.lead, deadline=deadline)

    def forget(self) -> None:
        """Of what was to be told, nothing has been."""
        self._told = None

    def news(self) -> list[control.Event]:
        """What the caller has not been told of the deadlines; how they are kept also depends on the round trip."""
        uplink_ms, downlink_ms = self.deadlines.uplink_ms, self.deadlines.downlink_ms
        now = control.DeadlineChanged(
            uplink_ms=uplink_ms,
            downlink_ms=downlink_ms,
            uplink_datagrams=worth_datagrams(uplink_ms, self.rtt_s),
            downlink_datagrams=worth_datagrams(downlink_ms, self.rtt_s),
        )
        if now == self._told:
            return []
        self._told = now
        return [now]
