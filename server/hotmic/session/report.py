"""What a session has to say: its events, each with its name and channel, until they are sent."""

from hotmic.errors import PeerError
from hotmic.events import ErrorRaised, Event, FinalTranscribed, PartialTranscribed, WarningRaised
from hotmic.policies import script
from hotmic.session.segment import Segment
from hotmic.values import SAMPLE_RATE, DecodeResult


class Report:
    """The events of one session in order.

    Args:
        session_id: Whose they are.
        channel: Who hears them.
    """

    def __init__(self, session_id: str, *, channel: str) -> None:
        self._session_id, self._channel = session_id, channel
        self._events: list[Event] = []

    def events_to_send(self) -> list[Event]:
        """Drain what was told."""
        events, self._events = self._events, []
        return events

    def tell(self, kind: type[Event], **fields: object) -> None:
        """Tell an event of the session."""
        if kind not in (ErrorRaised, WarningRaised):
            fields["channel"] = self._channel
        self._events.append(kind(session_id=self._session_id, **fields))  # type: ignore[arg-type, call-arg]

    def tell_mistake(self, error: PeerError) -> None:
        """Tell what the speaker did wrong."""
        self.tell(ErrorRaised, code=error.code, message=error.message, retryable=error.retryable)

    def warn(self, code: str, message: str) -> None:
        """Tell what a person should know."""
        self.tell(WarningRaised, code=code, message=message)

    def tell_partial(self, segment: Segment, *, language: str, lag: float, cadence: float) -> None:
        """Tell what an open segment says so far, unless that is nothing."""
        stable, unstable = segment.policy.stable, segment.policy.unstable
        text = stable + unstable
        if not text.strip():
            return
        segment.shown = text
        self._tell_text(segment, text.strip(), stable, unstable, language=language, lag=lag, cadence=cadence)

    def withdraw(self, segment: Segment, *, lag: float, cadence: float) -> None:
        """Take back what was shown of a segment that has no text after all."""
        if segment.shown:
            segment.shown = ""
            self._tell_text(segment, "", "", "", language="", lag=lag, cadence=cadence)

    def tell_final(self, segment: Segment, *, model_id: str, lag: float, seq: int | None) -> None:
        """Tell the text of a closed segment that has one.

        Args:
            segment: Every window of it has a result.
            model_id: What decoded it, where the result does not say.
            lag: Seconds since the endpoint.
            seq: See ``FinalTranscribed``.
        """
        text, words = segment.text()
        results = segment.results
        self.tell(
            FinalTranscribed,
            segment_id=segment.segment_id,
            text=text,
            words=words,
            language=results[0].language,
            model_id=results[0].model_id or model_id,
            start=segment.start / SAMPLE_RATE,
            end=(segment.end or segment.start) / SAMPLE_RATE,
            processing=sum(r.decode_s for r in results),
            lag=lag,
            revised=not script.begins_with(text, segment.policy.stable.strip()),
            alternatives=results[0].alternatives if len(results) == 1 else (),
            seq=seq,
        )

    def tell_failure(self, segment: Segment, failure: DecodeResult) -> None:
        """Tell that a segment could not be decoded, and where it was."""
        self.tell(
            ErrorRaised,
            code=failure.error_code,
            message=failure.error_message,
            segment_id=segment.segment_id,
            start=segment.start / SAMPLE_RATE,
            end=(segment.end or segment.start) / SAMPLE_RATE,
        )

    def _tell_text(
        self, segment: Segment, text: str, stable: str, unstable: str, *, language: str, lag: float, cadence: float
    ) -> None:
        self.tell(
            PartialTranscribed,
            segment_id=segment.segment_id,
            text=text,
            stable=stable,
            unstable=unstable,
            language=language,
            lag=lag,
            cadence=cadence,
        )
