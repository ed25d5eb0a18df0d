"""Which stretches of a segment are decoded when."""

import msgspec

from hotmic.audio.chunker import pauses, windows
from hotmic.audio.ring import Ring
from hotmic.commands import SessionOptions
from hotmic.session.segment import Partial, Segment, Window
from hotmic.values import SAMPLE_RATE, Capabilities, DecodeJob, DecodeKind, DecodeOptions, DecodeResult, Value

SURE_LANGUAGE = 0.7
"""A detected language this probable is kept for the partials of the following segments."""


class SessionSettings(Value, frozen=True, kw_only=True):
    """Numbers a session runs on; lengths in seconds."""

    partials: bool = True
    is_file: bool = False
    """Whether nobody speaks it now."""
    cadence: float = 0.3
    wire_silence: float = 1.0
    ring: float = 60.0
    window_overlap: float = 1.0
    min_partial: float = 0.2
    """Shortest stretch of speech worth a partial."""
    trim_after: float = 5.0
    """A partial longer than this is asked for word times, so that the audio of its stable words can be left out."""


class Planner:
    """Turns segments into decode jobs.

    An open segment gets a partial per cadence, without the audio of words that are stable already. What is longer than
    the model's window is settled window by window while the speaker goes on, at points chosen from the audio alone, so
    the final depends on nothing else.

    Args:
        session_id: Whose jobs.
        ring: Where the audio is.
        settings: Numbers.
    """

    def __init__(self, session_id: str, ring: Ring, settings: SessionSettings) -> None:
        self.options = DecodeOptions()
        self.language: str | None = None
        """What partials take the language for where the options leave it open."""
        self.has_word_times = True
        self.tenant = ""
        self.max_window = 28 * SAMPLE_RATE
        self.pause_after: int | None = None
        """Samples after which a window of a final ends at a clear pause; ``None`` for the longest windows."""
        self._session_id, self._ring, self._settings = session_id, ring, settings
        self._number = 0
        self._jobs: list[DecodeJob] = []

    def jobs_to_run(self) -> list[DecodeJob]:
        """Drain what was planned."""
        jobs, self._jobs = self._jobs, []
        return jobs

    def receive_capabilities(self, capabilities: Capabilities) -> None:
        """Learn what the model can do that decodes from now on."""
        self.max_window = int(capabilities.max_window * SAMPLE_RATE)
        self.pause_after = None if capabilities.pause_after is None else int(capabilities.pause_after * SAMPLE_RATE)
        self.has_word_times = capabilities.word_times

    def configure(self, options: SessionOptions) -> None:
        """Take a patch of the session's options, as far as they concern decoding."""
        old = self.options
        self.options = DecodeOptions(
            language=old.language if options.language is None else options.language or None,
            task=options.task or old.task,
            prompt=old.prompt if options.prompt is None else options.prompt,
            hotwords=old.hotwords if options.hotwords is None else options.hotwords,
            beam=options.beam or old.beam,
            fallback=old.fallback if options.fallback is None else options.fallback,
            alternatives=old.alternatives if options.alternatives is None else options.alternatives,
            denoise=options.denoise or old.denoise,
        )
        if options.language is not None:
            self.language = None

    def plan_open(self, segment: Segment, *, certain_end: int, cadence: float, now: float) -> None:
        """Settle the windows of an open segment that are full, and ask for a partial when one is due.

        Args:
            segment: The open one.
            certain_end: Where the segment ends at the earliest, whatever comes; settling looks no further.
            cadence: Seconds between two partials.
            now: The time.
        """
        position = self._ring.end
        if certain_end - segment.settled_start > self.max_window:
            self._settle(segment, certain_end, now=now)
        if position - segment.committed_until > self.max_window:
            segment.commit_windows()
        due = position - segment.partial_until >= int(cadence * SAMPLE_RATE)
        is_long_enough = position - segment.start >= int(self._settings.min_partial * SAMPLE_RATE)
        if due and is_long_enough and self._settings.partials:
            segment.partial_until = position
            start = segment.committed_until
            stop = min(position, start + self.max_window)
            if (start, stop) != segment.asked:
                segment.asked = (start, stop)
                # Behind a window that is not answered yet, the text is as old as the end of what is decoded.
                self._plan_partial(segment, stop, cadence, now=now, said_at=now - (position - stop) / SAMPLE_RATE)

    def plan_final(self, segment: Segment, *, now: float) -> None:
        """Settle what is left of a closed segment."""
        assert segment.end is not None
        self._settle(segment, segment.end, now=now)

    def learn_language(self, result: DecodeResult) -> None:
        """Let partials use the language that a final was surely in; the next final looks again by itself.

        A final depends on its own audio alone, so it takes no language from the ones before it.
        """
        if not self.options.language and result.language_probability >= SURE_LANGUAGE:
            self.language = result.language or None

    def _settle(self, segment: Segment, end: int, *, now: float) -> None:
        samples = self._ring.read(segment.start, end)
        overlap = int(self._settings.window_overlap * SAMPLE_RATE)
        is_over = segment.end is not None
        spans = windows(
            samples, max_window=self.max_window, overlap=overlap, pause_after=self.pause_after, is_over=is_over
        )
        last = len(spans) if is_over else len(spans) - 1
        is_short = is_over and end - segment.start <= self.max_window
        for first, stop in spans[len(segment.windows) : last]:
            job = self._job(segment, "final", segment.start + first, segment.start + stop, now)
            if self.pause_after is not None:
                job = msgspec.structs.replace(job, pauses=tuple(pauses(samples[first:stop])))
            if is_short:
                # Of a longer segment windows are settled before this is known, so none of them may depend on it.
                noise = segment.end_noise if self.options.denoise != "off" else b""
                job = msgspec.structs.replace(job, noise=noise, speech_probability=segment.speech_probability)
            self._jobs.append(job)
            segment.windows.append(Window(segment.start + first, segment.start + stop, job.job_id))

    def _plan_partial(self, segment: Segment, stop: int, cadence: float, *, now: float, said_at: float) -> None:
        start = segment.committed_until
        job = self._job(segment, "partial", start, stop, now)
        is_long = stop - start > self._settings.trim_after * SAMPLE_RATE
        self._jobs.append(
            msgspec.structs.replace(
                job,
                deadline=now + cadence,
                options=self._partial_options(),
                previous=segment.committed,
                word_times=self.has_word_times and (is_long or segment.policy.needs_word_times),
            )
        )
        segment.partials[job.job_id] = Partial(start, stop, said_at, segment.committed)

    def _partial_options(self) -> DecodeOptions:
        if self.options.language or not self.language:
            return self.options
        return msgspec.structs.replace(self.options, language=self.language)

    def _job(self, segment: Segment, kind: DecodeKind, start: int, stop: int, now: float) -> DecodeJob:
        self._number += 1
        return DecodeJob(
            job_id=f"{segment.segment_id}/{self._number}",
            session_id=self._session_id,
            segment_id=segment.segment_id,
            kind=kind,
            samples=self._ring.read(start, stop).tobytes(),
            start=start,
            deadline=now,
            created=now,
            options=self.options,
            noise=segment.noise if self.options.denoise != "off" else b"",
            word_times=kind == "final",
            tenant=self.tenant,
            is_from_file=self._settings.is_file,
        )
