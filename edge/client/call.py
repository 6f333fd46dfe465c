"""A spoken call to an edge.

A call outlives its connections. When one is lost (the edge resets it, or nothing is heard for ``dead_after_s``),
the node is dialled again, at its own address and, a little later, at that of the service. The node that still knows the
call goes on with it: what was being said is completed, what was being heard is heard on, nothing twice. Another node of
the fleet goes on with what the call carries along: the utterance that was not confirmed is said again from its start, and
an answer goes on if its backend can do that. One that cannot even do so gives it a new session.

Where the edge asks for it, the call goes elsewhere by itself (`edge.client.moving`), and where its own network changes or
nothing is heard any more, it looks for another way before it gives one up (`edge.client.scouting`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edge.client import audio
from edge.client.conversation import Conversation
from edge.client.dialing import Dialing
from edge.client.driven import SessionLost
from edge.client.ears import Ears
from edge.client.events import CallEvent, Ended, Migrated, Moved, Reconnected, Reconnecting
from edge.client.feed import Feed
from edge.client.leg import ms
from edge.client.lifeline import Lifeline, SpeechLost
from edge.client.recording import Recording, TwoWayRecording
from edge.client.summary import CallSummary
from edge.errors import DeadlineError
from edge.voice import CallerSession, Deadlines, Frame, FramesReceived, Preset

ACCOUNT_PATIENCE_S = 3.0
"""For the counts of both ends to agree: what is on its way when a call is hung up takes a round trip or two."""
PATIENCE_S = 30.0
"""For a sign of what was asked for: a backend may think for long."""


Deadline = Preset | Deadlines | tuple[int | None, int | None]
"""A preset, or what a frame is worth on its way up and down: 20 to 60000 milliseconds, or None for as long as it takes."""


def deadlines(choice: Deadline | None) -> Preset | Deadlines | None:
    """As a session takes them. Raises ValueError for numbers that cannot be."""
    return Deadlines(*choice) if isinstance(choice, tuple) else choice


class Call:
    """Made by `connect`, to be used as an async context manager. Leaving it hangs up.

    ``wishes`` are those of each `CallerSession`.
    """

    def __init__(
        self,
        dialing: Dialing,
        wishes: Mapping[str, Any],
        *,
        redial_delays_s: Sequence[float],
    ) -> None:
        self._target = dialing.target
        self._wishes = dict(wishes)
        self._loop = asyncio.get_running_loop()
        self._events: Feed[CallEvent] = Feed()
        self._ears = Ears(lambda: self._line.conversation.session)
        self._saying = asyncio.Lock()
        self._began_at = self._asked_at = 0.0
        self._first_audio_ms: float | None = None
        self._utterances = 0
        self._asked: tuple[Conversation, int] | None = (
            None  # whom last, and how many items it had said by then
        )
        self._line = Lifeline(
            dialing,
            self._new_session,
            redial_delays_s=redial_delays_s,
            tell=self._told,
            settled=self._ears.settled,
        )

    async def __aenter__(self) -> Self:
        self._began_at = self._loop.time()
        self._asked = (self._line.conversation, 0)
        try:
            await self._line.begin()
        except BaseException:
            await self._line.end(0.0)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.hang_up(patience_s=ACCOUNT_PATIENCE_S if kind is None else 0.0)

    async def ready(self) -> None:
        """Wait until the call stands, which matters only where it could be spoken on early. Raises as entering does."""
        await self._line.ready()

    # --- to say ----------------------------------------------------------------------------------------

    async def say(
        self,
        speech: Path | Sequence[bytes] | AsyncIterable[bytes],
        *,
        faster: bool = False,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Say one utterance. Returns when the edge has all of it, but for what it gave up at its deadline.

        ``speech`` is an audio file, Opus packets of 20 ms, or a microphone that brings them as they are made. A
        recording goes out in real time, or with ``faster`` as fast as the path takes it. Raises `CallLost`,
        `SpeechLost` if the session is lost with what cannot be said again, `DeadlineError` if the edge does not
        confirm it ``patience_s`` after its end, `UsageError` for a file that cannot be read, and ValueError for no
        packets or one that is not Opus.
        """
        packets = await asyncio.to_thread(audio.read_speech, speech) if isinstance(speech, Path) else speech
        async with self._saying:
            while True:
                conversation = self._ask()
                try:
                    await conversation.say(
                        packets, faster=faster, patience_s=patience_s, said=self._ears.said
                    )
                except SessionLost:
                    if not isinstance(packets, Sequence):
                        self._line.standing()
                        raise SpeechLost(f"{self._target}: the session was lost; say it again") from None
                    continue
                except TimeoutError:
                    raise DeadlineError(f"{self._target}: not confirmed within {patience_s:g} s") from None
                self._utterances += 1
                return

    async def request_reply(self, fields: Mapping[str, Any] | None = None) -> None:
        """Ask the backend to speak; ``fields`` are further members of the ``response.create``. Raises `CallLost`."""
        self._ask().session.request_response(fields)
        self._line.conversation.wake()

    def send_event(self, event: Mapping[str, Any]) -> None:
        """Say something else to the backend: ``conversation.item.create`` with the result of a tool, for one.

        Raises `CallLost`, and ValueError for what is no event.
        """
        self._line.standing().session.send_control(event)
        self._line.conversation.wake()

    def set_deadline(self, deadline: Deadline) -> None:
        """What a frame is worth from the next group up, and the next item down, on. Raises `CallLost`, ValueError."""
        self._wishes["deadline"] = deadlines(deadline)
        self._line.standing().session.update_session(deadline=self._wishes["deadline"])
        self._line.conversation.wake()

    # --- to hear ---------------------------------------------------------------------------------------

    async def reply(self, *, patience_s: float = PATIENCE_S) -> bool:
        """Wait until what the edge has to say to the last `say` or `request_reply` has been played, or interrupted.

        Without one of these, to the beginning of the call. False if the session was lost on the way, and the reply
        with it. Raises `DeadlineError` if for ``patience_s`` nothing more of it is heard.
        """
        if self._asked is None:
            return False
        conversation, items_before = self._asked
        try:
            await conversation.answered(items_before, patience_s)
        except SessionLost:
            return False
        except TimeoutError:
            raise DeadlineError(f"{self._target}: no reply within {patience_s:g} s") from None
        return True

    async def played(self, seconds: float, *, patience_s: float = PATIENCE_S) -> bool:
        """Wait until so much of the reply has been played.

        False if it is over before, lost with its session, or does not come within ``patience_s``.
        """
        if self._asked is None:
            return False
        conversation, items_before = self._asked
        try:
            return await conversation.played(items_before, round(seconds * 1000), patience_s)
        except SessionLost:
            return False

    def interrupt(self) -> None:
        """Silence at once: whatever is being said ends here, unless it is taken back by `resume`. Raises `CallLost`."""
        conversation = self._line.standing()
        self._ears.interrupted()
        conversation.session.cancel(self._loop.time())
        conversation.wake()

    def resume(self) -> bool:
        """It was a cough: go on where it stopped. False if that was more than 0.4 s ago. Raises `CallLost`."""
        conversation = self._line.standing()
        if not conversation.session.resume(self._loop.time()):
            return False
        self._ears.resumed()
        conversation.wake()
        return True

    def truncate(self, item: int, audio_end_ms: int) -> None:
        """Have the backend forget what it said in ``item`` behind ``audio_end_ms``. Raises `CallLost`.

        After an interruption the edge does that by itself.
        """
        self._line.standing().session.truncate(item, audio_end_ms)
        self._line.conversation.wake()

    def events(self) -> AsyncIterator[CallEvent]:
        """What happens from now on, until the call has ended; `edge.client.events` lists it."""
        return self._events.subscribe()

    def listen(self) -> AsyncIterator[Frame]:
        """The frames that are received from now on, in order: as early as possible, to do with as one likes."""
        return self._ears.frames.subscribe()

    def pcm(self) -> AsyncIterator[bytes]:
        """What the caller hears from now on, when it hears it: 20 ms of 48 kHz, mono, signed 16 bit, at a time.

        To be handed to a loudspeaker as it comes. Lost frames are concealed, an interruption is silent at once; in
        silence nothing comes. Ends with the call.
        """
        return self._ears.pcm(lambda: self._line.ending == "in_progress")

    def record(self) -> Recording:
        """A recording of what is heard from now on; before the call is entered, of the whole call."""
        return self._ears.record()

    def record_both(self) -> TwoWayRecording:
        """A recording of both sides by the clock, from now on."""
        return self._ears.record_both()

    # --- to end ----------------------------------------------------------------------------------------

    async def hang_up(self, *, patience_s: float = ACCOUNT_PATIENCE_S) -> CallSummary:
        """End the call, if it is not over, after comparing counts with the edge for at most ``patience_s``."""
        await self._line.end(patience_s)
        return self.summary()

    def summary(self) -> CallSummary:
        """Of a call that has been entered, as of now or of its end."""
        until = self._loop.time() if self._line.ending == "in_progress" else self._line.ended_at
        return CallSummary(
            ending=self._line.ending,
            reason=self._line.reason,
            duration_s=round(until - self._began_at, 3),
            first_audio_ms=self._first_audio_ms,
            utterances=self._utterances,
            legs=self._line.legs(),
            sessions=self._line.sessions(),
            moves=self._line.moves(),
        )

    # --- within ----------------------------------------------------------------------------------------

    def _new_session(self) -> CallerSession:
        return CallerSession(self._loop.time(), **self._wishes)

    def _ask(self) -> Conversation:
        conversation = self._line.standing()
        self._asked = (conversation, conversation.progress.items_done)
        if not self._asked_at:
            self._asked_at = self._loop.time()
        return conversation

    def _told(self, event: CallEvent) -> None:
        if isinstance(event, Reconnected) and not event.resumed:
            self._ears.began_anew()
        elif isinstance(event, FramesReceived) and self._first_audio_ms is None:
            self._first_audio_ms = ms(self._loop.time() - (self._asked_at or self._began_at))
        self._events.publish(event)
        if isinstance(event, Ended):
            self._events.end()
            self._ears.frames.end()
        elif not isinstance(event, Migrated | Moved | Reconnecting | Reconnected):
            self._ears.told(event)
