"""One speaker's stream: audio in, jobs out, results in, events out. Sans-I/O; time is an argument.

The way of a chunk: ``receive_audio`` parses and resamples it, appends it to the ring and shows it to the segmenter.
Where the segmenter sees an open segment, ``jobs_to_run`` hands out the newest partial; where it sees an end, the final.
``receive_result`` turns what the engine said into events. Audio stays in the ring until its final is told.
"""

from collections import deque
from collections.abc import Callable

import msgspec

from hotmic.audio.ring import Ring
from hotmic.audio.segmenter import Cuts, Segmenter
from hotmic.audio.segmenter import SpeechEnded as SegmentEnd
from hotmic.audio.segmenter import SpeechStarted as SegmentStart
from hotmic.audio.wire import Wire
from hotmic.commands import ClearAudio, Command, Configure, EndAudio, SessionOptions, StartRecording, StopRecording
from hotmic.errors import BadAudio, RingFull, SequenceGap
from hotmic.events import (
    Acknowledged,
    AudioCleared,
    Event,
    NothingTranscribed,
    RecordingStarted,
    RecordingStopped,
    SpeechEnded,
    SpeechStarted,
)
from hotmic.policies.policy import Policy
from hotmic.session.numbering import Numbering
from hotmic.session.planner import Planner, SessionSettings
from hotmic.session.report import Report
from hotmic.session.segment import Partial, Segment
from hotmic.session.state import TRANSITIONS, State, Trigger
from hotmic.values import (
    SAMPLE_RATE,
    Capabilities,
    DecodeJob,
    DecodeResult,
    PolicyName,
    Samples,
)

NO_SPEECH_AFTER = 10 * SAMPLE_RATE
"""Samples of a recording without any segment before the speaker is warned."""


class Session:
    """One speaker's stream of audio.

    Args:
        session_id: Name on the wire.
        channel: Whose clients hear it.
        settings: Numbers.
        options: What to decode with until a command says otherwise.
        build_segmenter: Makes a segmenter for a session's wishes.
        build_policy: Makes the policy of one segment; ``None`` leaves the choice to the model.
        tenant: Whose token brought it.
    """

    def __init__(
        self,
        session_id: str,
        *,
        channel: str,
        settings: SessionSettings,
        options: SessionOptions,
        build_segmenter: Callable[[Cuts], Segmenter],
        build_policy: Callable[[PolicyName | None], Policy],
        tenant: str = "",
    ) -> None:
        self.session_id = self.label = session_id
        self.channel = channel
        self.state = State.IDLE
        self.cadence = settings.cadence
        self._settings = settings
        self._build_segmenter = build_segmenter
        self._build_policy = build_policy
        self._cuts = _changed(Cuts(), options)
        self._wire = Wire()
        self._ring = Ring(int(settings.ring * SAMPLE_RATE))
        self._planner = Planner(session_id, self._ring, settings)
        self._planner.tenant = self.tenant = tenant
        self._numbering = Numbering()
        self._is_attached = True
        self._policy: PolicyName | None = None
        self._wire_silence = settings.wire_silence
        self._apply(options)
        self._segmenter, self._segmenter_cuts = build_segmenter(self._cuts), self._cuts
        self._origin = 0
        self._segments: deque[Segment] = deque()
        self._model_id = ""
        self._capabilities: Capabilities | None = None
        self._recording = 0
        self._recording_start = 0
        self._heard_speech = False
        self._stops: deque[int] = deque()
        self._ring_full = False
        self._paused_told = False
        self._controlled = False
        self._last_audio_at = 0.0
        self._segment_number = 0
        self._report = Report(session_id, channel=channel)

    # inputs

    def receive_command(self, command: Command, *, now: float) -> None:
        """Take a command that concerns this session; one that is closed takes none."""
        if self.state is State.CLOSED:
            return
        match command:
            case StartRecording(config=config):
                self._configure(config)
                self._start()
            case StopRecording():
                self._end_recording(Trigger.STOP, now=now)
            case EndAudio():
                self._end_recording(Trigger.END, now=now)
            case ClearAudio(keeps_ended=keeps_ended):
                self._clear(keeps_ended=keeps_ended, now=now)
            case Configure(options=options):
                self._configure(options)
            case _:
                raise TypeError(f"{type(command).__name__} is no session command")

    def receive_audio(
        self,
        data: bytes,
        *,
        now: float,
        encoding: str = "pcm16",
        sample_rate: int | None = None,
        seq: int | None = None,
    ) -> None:
        """Take a chunk of mono audio as it came from the wire; a bad one becomes an ``ErrorRaised``.

        One that is numbered is taken once: sent again, it is acknowledged as far as it is settled.
        """
        if self.state is State.CLOSED or not self._is_due(seq):
            return
        if self.state is State.PAUSED:
            if not self._paused_told:
                self._paused_told = True
                self._report.warn("paused", "Recording was stopped; audio is ignored until the next start.")
            self._count(seq)
            return
        try:
            samples = self._wire.receive(data, encoding=encoding, sample_rate=sample_rate)
        except BadAudio as error:
            self._report.tell_mistake(error)
            return
        if self.state is State.IDLE:
            self._begin_recording(Trigger.AUDIO)
        self._last_audio_at = now
        if self._take(samples, now=now):
            self._count(seq)

    def receive_detach(self) -> None:
        """The speaker's connection broke; it may come back, and until then silence on the wire means nothing."""
        self._is_attached = False

    def receive_attach(self, *, now: float) -> None:
        """The speaker is back."""
        self._is_attached, self._last_audio_at = True, now

    def receive_model(self, model_id: str, capabilities: Capabilities) -> None:
        """Learn which model serves; open segments are decoded again by it."""
        if (model_id, capabilities) == (self._model_id, self._capabilities):
            return
        self._model_id, self._capabilities = model_id, capabilities
        self._planner.receive_capabilities(capabilities)
        for segment in self._segments:
            if segment.end is None:
                segment.restart()

    def receive_result(self, result: DecodeResult, *, now: float) -> None:
        """Take what the engine said about one of this session's jobs."""
        for segment in self._segments:
            if segment.take(result):
                break
            partial = segment.take_partial(result.job_id)
            if partial is not None:
                if segment.end is None and not result.error_code:
                    self._tell_partial(segment, result, partial, now=now)
                return
        self._tell_finals(now=now)

    def receive_close(self, *, now: float) -> None:
        """The speaker is gone: finalise what was said, then be done (see ``is_finished``)."""
        if self.state is State.CLOSED:
            return
        was_recording = self.state is State.RECORDING
        self.state = TRANSITIONS[self.state, Trigger.CLOSE]
        if was_recording:
            self._finalise(now=now)

    def next_timer(self) -> float | None:
        """Return when ``handle_timer`` wants to be called, in the time of ``now``."""
        if self._segmenter.open_start is None or self.state is not State.RECORDING or not self._is_attached:
            return None
        return self._last_audio_at + self._wire_silence

    def handle_timer(self, *, now: float) -> None:
        """End the open segment when the wire has been silent for long enough."""
        due = self.next_timer()
        if due is not None and now >= due:
            self._segmenter.finish()
            self._take_boundaries(now=now)

    # outputs

    def events_to_send(self) -> list[Event]:
        """Drain what clients of the channel should hear."""
        return self._report.events_to_send()

    def jobs_to_run(self) -> list[DecodeJob]:
        """Drain what the engine should decode."""
        return self._planner.jobs_to_run()

    @property
    def is_finished(self) -> bool:
        """Whether the speaker is gone and nothing is left to tell."""
        return self.state is State.CLOSED and not self._segments and not self._stops

    @property
    def next_seq(self) -> int | None:
        """The chunk that is due; ``None`` where chunks are not numbered."""
        return self._numbering.next_seq

    @property
    def wire_rate(self) -> int:
        """Rate in hertz of audio that names none itself."""
        return self._wire.rate

    @property
    def pending_stops(self) -> int:
        """Recordings that ended and whose last finals are not told yet."""
        return len(self._stops)

    @property
    def is_settled(self) -> bool:
        """Whether no segment waits for its final."""
        return not self._segments

    @property
    def held(self) -> float:
        """Seconds of audio in its ring, not settled yet."""
        return (self._ring.end - self._ring.begin) / SAMPLE_RATE

    def has_room(self, seconds: float) -> bool:
        """Return whether the ring can take so much more audio; an empty one takes whatever it can hold."""
        held = self._ring.end - self._ring.begin
        return held == 0 or held + seconds * SAMPLE_RATE <= self._settings.ring * SAMPLE_RATE

    # audio

    def _is_due(self, seq: int | None) -> bool:
        if seq is None:
            return True
        try:
            is_due = self._numbering.is_due(seq)
        except SequenceGap as error:
            self._report.tell_mistake(error)
            return False
        if not is_due:
            self._acknowledge(self._numbering.tell())
        return is_due

    def _count(self, seq: int | None) -> None:
        if seq is not None:
            self._numbering.receive(seq, end=self._ring.end)
            self._release()

    def _acknowledge(self, seq: int | None) -> None:
        if seq is not None:
            self._report.tell(Acknowledged, seq=seq)

    def _take(self, samples: Samples, *, now: float) -> bool:
        """Take samples; return whether there was room for them."""
        try:
            self._ring.append(samples)
        except RingFull as error:
            if not self._ring_full:
                self._ring_full = True
                self._report.tell_mistake(error)
            return False
        self._ring_full = False
        self._segmenter.receive(samples)
        self._take_boundaries(now=now)
        certain_end = self._segmenter.certain_end
        if certain_end is not None:
            end = self._origin + certain_end
            self._planner.plan_open(self._segments[-1], certain_end=end, cadence=self.cadence, now=now)
        self._release()
        if not self._heard_speech and self._ring.end - self._recording_start >= NO_SPEECH_AFTER:
            self._heard_speech = True
            self._report.warn(
                "no_speech", "No speech detected in the audio stream; check the microphone and its level."
            )
        return True

    def _take_boundaries(self, *, now: float) -> None:
        for boundary in self._segmenter.boundaries_to_send():
            match boundary:
                case SegmentStart():
                    self._open_segment(boundary)
                case SegmentEnd():
                    self._close_segment(boundary, now=now)
        self._switch_segmenter()

    def _open_segment(self, boundary: SegmentStart) -> None:
        self._heard_speech = True
        self._segment_number += 1
        name, start = f"{self.label}-{self._segment_number}", self._origin + boundary.start
        segment = Segment(name, start, self._recording, self._new_policy(), noise=boundary.noise)
        self._segments.append(segment)
        self._report.tell(SpeechStarted, segment_id=name, start=start / SAMPLE_RATE)

    def _new_policy(self) -> Policy:
        policy = self._build_policy(self._policy)
        if policy.needs_word_times and not self._planner.has_word_times:
            self._report.warn("no_word_times", "The model tells no word times: words become stable by local_agreement.")
            policy = self._build_policy("local_agreement")
        return policy

    def _close_segment(self, boundary: SegmentEnd, *, now: float) -> None:
        segment, end = self._segments[-1], self._origin + boundary.end
        segment.end, segment.ended_at, segment.end_noise = end, now, boundary.noise
        segment.speech_probability = boundary.speech_probability
        self._planner.plan_final(segment, now=now)
        self._report.tell(
            SpeechEnded, segment_id=segment.segment_id, start=segment.start / SAMPLE_RATE, end=end / SAMPLE_RATE
        )

    def _release(self) -> None:
        oldest = self._oldest_needed()
        self._ring.release(oldest)
        self._settle(oldest)
        self._acknowledge(self._numbering.news(at_once=self.state is not State.RECORDING))

    def _settle(self, oldest: int) -> None:
        is_over = not self._segments and self.state is not State.RECORDING
        self._numbering.settle(self._ring.end if is_over else oldest)

    def _oldest_needed(self) -> int:
        """Return the position before which all audio is in finals that were told, or silence."""
        floor = self._origin + self._segmenter.keep_from  # a segment opened later may still reach back to it
        return min(self._segments[0].start, floor) if self._segments else floor

    # recordings

    def _start(self) -> None:
        if self.state is State.RECORDING:
            self._controlled = True
            self._report.tell(RecordingStarted, is_controlled=True)
        else:
            self._begin_recording(Trigger.START)

    def _begin_recording(self, trigger: Trigger) -> None:
        self.state = TRANSITIONS[self.state, trigger]
        self._recording += 1
        self._recording_start = self._ring.end
        self._heard_speech = self._paused_told = False
        self._controlled = self._controlled or trigger is Trigger.START
        self._report.tell(RecordingStarted, is_controlled=self._controlled)

    def _end_recording(self, trigger: Trigger, *, now: float) -> None:
        was_recording = self.state is State.RECORDING
        self.state = TRANSITIONS[self.state, trigger]
        if was_recording:
            self._finalise(now=now)
        self._controlled = self._controlled or trigger is Trigger.STOP
        self._stops.append(self._recording)
        self._tell_stops()

    def _finalise(self, *, now: float) -> None:
        self._take(self._wire.flush(), now=now)
        self._segmenter.finish()
        self._take_boundaries(now=now)
        self._release()

    def _clear(self, *, keeps_ended: bool, now: float) -> None:
        """Drop what was said in the recording and is not told yet; earlier recordings and the next word are kept."""
        dropped: list[Segment] = []
        if self.state is State.RECORDING:
            self._take(self._wire.flush(), now=now)
            self._segmenter.discard()
            current = [s for s in self._segments if s.recording == self._recording]
            dropped = [s for s in current if s.end is None or not keeps_ended]
        for segment in dropped:
            self._segments.remove(segment)
            self._report.withdraw(segment, lag=0.0, cadence=self.cadence)
        self._switch_segmenter()
        self._release()
        self._report.tell(AudioCleared, segment_ids=tuple(s.segment_id for s in dropped))

    def _configure(self, options: SessionOptions) -> None:
        self._apply(options)
        self._cuts = _changed(self._cuts, options)
        self._switch_segmenter()

    def _switch_segmenter(self) -> None:
        """Take up other wishes as soon as no segment is open and none may be about to."""
        if self._cuts != self._segmenter_cuts and self._segmenter.is_quiet:
            self._segmenter, self._segmenter_cuts = self._build_segmenter(self._cuts), self._cuts
            self._origin = self._ring.end

    def _apply(self, options: SessionOptions) -> None:
        self._wire.rate = options.sample_rate or self._wire.rate
        self._planner.configure(options)
        self._policy = options.policy or self._policy
        if options.wire_silence_ms is not None:
            self._wire_silence = options.wire_silence_ms / 1000

    # telling

    def _tell_partial(self, segment: Segment, result: DecodeResult, partial: Partial, *, now: float) -> None:
        segment.hear(result, partial)
        if self._segments[0] is segment:
            lag = now - partial.said_at
            self._report.tell_partial(segment, language=result.language, lag=lag, cadence=self.cadence)

    def _tell_finals(self, *, now: float) -> None:
        while self._segments and self._segments[0].is_done:
            segment = self._segments.popleft()
            if segment.failure is not None:
                self._report.tell_failure(segment, segment.failure)
            self._tell_final(segment, lag=now - segment.ended_at)
        self._release()
        self._tell_stops()

    def _tell_final(self, segment: Segment, *, lag: float) -> None:
        if not segment.text()[0]:
            self._report.withdraw(segment, lag=lag, cadence=self.cadence)
            self._report.tell(NothingTranscribed, segment_id=segment.segment_id)
            return
        self._settle(self._oldest_needed())
        self._report.tell_final(segment, model_id=self._model_id, lag=lag, seq=self._numbering.tell())
        self._planner.learn_language(segment.results[0])

    def _tell_stops(self) -> None:
        while self._stops and all(s.recording > self._stops[0] for s in self._segments):
            self._stops.popleft()
            self._report.tell(RecordingStopped, is_controlled=self._controlled)


def _changed(cuts: Cuts, options: SessionOptions) -> Cuts:
    wished = {name: getattr(options, name) for name in Cuts.__struct_fields__}
    return msgspec.structs.replace(cuts, **{name: value for name, value in wished.items() if value is not None})
