"""OpenAI's realtime protocol, transcription sessions: base64 audio in, deltas and whole transcripts out.

The audio since the last item is the buffer. With turn detection every segment of speech is an item of its own; without,
a commit makes an item of the buffer, whatever segments are in it. Deltas are stable text alone and come while the
speaker speaks, so they are never taken back; ``completed`` carries the final, which is the truth.
"""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from hotmic import commands as c
from hotmic import events as e
from hotmic.dialects import openai_answer as a
from hotmic.dialects import openai_message as m
from hotmic.dialects.dialect import Dialect, Frame
from hotmic.dialects.openai_configuration import FORMATS, Configuration
from hotmic.dialects.openai_item import Item
from hotmic.dialects.said import Said
from hotmic.errors import BadField, HotmicError

LEAST_COMMIT = 0.1
"""Seconds of audio that an item needs, as in the original."""
_CODES = {"unknown_model": "model_not_found", "bad_field": "invalid_value", "unknown_type": "invalid_value"}
_OURS = ("internal", "engine_failed", "worker_died", "model_unavailable", "download_failed", "shutting_down")
"""Codes of errors that are no mistake of the client."""
_BUSY = ("rate_limited", "overloaded", "ring_full")
_WIDTHS = {"pcm16": 2, "mulaw": 1, "alaw": 1}

Told = list[a.ServerEvent]


class _Asked(msgspec.Struct):
    """What the client sent, until it is answered."""

    event_id: str | None = None
    param: str | None = None
    code: str = ""
    """The code of its error, where the protocol has one of its own."""
    change: m.Session | None = None
    is_old: bool = False
    is_answered: bool = False
    """Whether the client knows already: ``session.created`` told it."""
    model: str | None = None
    seconds: float = 0.0
    commits: bool = False
    is_refused: bool = False


class OpenaiRealtimeDialect(Dialect):
    """Items and their transcripts.

    Args:
        name: What the names of this connection's events and items contain, its own alone.
        model: The model in the client's URL.
        session_config: The configuration that came with a client secret, JSON.
    """

    name = "openai_realtime"
    is_greeted = True
    is_appended = True
    reads_session_config = True

    def __init__(self, *, name: str = "", model: str = "", session_config: str = "") -> None:
        self._name = name
        self._configuration = Configuration()
        self._first: m.Session | BadField | None = _first_wish(model, session_config)
        self.options = self._configuration.options
        self._asks = self._item_count = self._event_count = 0
        self._asked: dict[int, _Asked] = {}
        self._current = _Asked()
        self._is_beginning = True
        self._serving: str | None = None
        self._said = Said()
        self._items: dict[str, Item] = {}
        self._open: Item | None = None
        self._last_item_id: str | None = None
        self._heard = self._buffer_start = 0.0

    # what the client says

    def commands_to_run(self) -> Sequence[c.Command]:
        """Return what the URL and the client secret ask for.

        Raises:
            BadField: The secret's configuration cannot be used.
        """
        match self._first:
            case BadField():
                raise self._first
            case m.Session():
                return (self._configure(self._first, _Asked(is_answered=True)),)
        return ()

    def parse(self, frame: Frame) -> Sequence[c.Command]:
        """Turn a frame into commands.

        Raises:
            BadMessage: It is none of the protocol, or cannot be followed now.
        """
        self._current = _Asked()
        try:
            message = m.decode(frame)
        except m.FaultError as fault:
            self._current.event_id, self._current.param = fault.event_id, fault.param or None
            raise fault.error from fault
        self._current.event_id = message.event_id
        match message:
            case m.Append(audio=audio):
                return (self._append(audio),)
            case m.Commit():
                return (self._commit(),)
            case m.Clear():
                return (self._clear(),)
            case m.OldSessionUpdate(session=session):
                return (self._configure(session.renewed(), _Asked(event_id=message.event_id, is_old=True)),)
        return (self._configure(message.session, _Asked(event_id=message.event_id)),)

    def _append(self, audio: bytes) -> c.Command:
        encoding, rate = FORMATS[self._configuration.format]
        self._current.seconds = len(audio) / _WIDTHS[encoding] / rate
        return c.AppendAudio(data=audio, encoding=encoding, sample_rate=rate)

    def _clear(self) -> c.Command:
        # Where turns are detected, or were until just now, what ended is an item already.
        has_items = any(item.is_committed for item in self._items.values())
        return c.ClearAudio(keeps_ended=self._configuration.detects_turns or has_items)

    def _commit(self) -> c.Command:
        buffered = self._heard - self._buffer_start
        if buffered < LEAST_COMMIT - 1e-6:
            self._current.code = "input_audio_buffer_commit_empty"
            raise BadField(
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{LEAST_COMMIT * 1000:.0f}ms of audio, but buffer only has {max(buffered, 0.0) * 1000:.2f}ms of audio."
            )
        self._current.commits = True
        return c.EndAudio()

    def _configure(self, change: m.Session, asked: _Asked) -> c.Command:
        changed = self._configuration.patched(change)
        options = changed.options
        if changed.model != self._configuration.model:
            asked.model = changed.model
            options = msgspec.structs.replace(options, model=changed.model)
        asked.change = change
        self._current = asked
        self._asks += 1
        self._asked[self._asks] = asked
        return c.Configure(request_id=self._asks, options=options)

    # what it hears

    def frames_to_send(self, *, timestamp: str) -> Sequence[Frame]:
        """Finish the frame that was carried out: an item that the client commits."""
        asked, self._current = self._current, _Asked()
        self._is_beginning = False
        if asked.is_refused:
            self._asked = {number: kept for number, kept in self._asked.items() if kept is not asked}
            return ()
        self._heard += asked.seconds
        self._adopt(asked)
        if not asked.commits:
            return ()
        item = self._open or self._new_item()
        told = self._committed(item, seconds=self._heard - self._buffer_start)
        self._buffer_start = self._heard
        return _dump([*told, *self._completed(item)])

    def encode(self, event: e.Event, *, timestamp: str) -> Sequence[Frame]:
        """Turn an event into frames."""
        return _dump(self._told(event))

    def close_code(self, error: HotmicError) -> int | None:
        """Return the code to close with: a wish in the URL that cannot be met ends the connection."""
        return error.close_code or (1008 if self._is_beginning else None)

    def _told(self, event: e.Event) -> Told:
        match event:
            case e.Connected():
                self._serving = event.current_model
                created = Configuration()
                if isinstance(self._first, m.Session):
                    created = created.patched(self._first)
                return [a.SessionCreated(event_id=self._event_id(), session=self._shown(created))]
            case e.Configured(request_id=int(number)) if number in self._asked:
                return self._configured(self._asked.pop(number))
            case e.AudioCleared():
                return self._cleared()
            case e.SpeechStarted():
                return self._speech_started(event)
            case e.SpeechEnded():
                return self._speech_ended(event)
            case e.PartialTranscribed(segment_id=segment_id) if segment_id in self._items:
                return self._delta(self._items[segment_id], segment_id, self._said.partial(event))
            case e.FinalTranscribed(segment_id=segment_id) if segment_id in self._items:
                return self._resolve(segment_id, event)
            case e.NothingTranscribed(segment_id=segment_id) if segment_id in self._items:
                return self._resolve(segment_id, None)
            case e.ErrorRaised(segment_id=segment_id) if segment_id in self._items:
                self._items[segment_id].failure = event
                return []
            case e.ErrorRaised():
                return self._error(event)
        return []

    def _configured(self, asked: _Asked) -> Told:
        self._adopt(asked)
        if asked.model is not None:
            self._configuration = msgspec.structs.replace(self._configuration, model=asked.model)
        if asked.is_answered:
            return []
        if asked.is_old:
            shown = self._configuration.shown_old(f"sess_{self._name}", serving=self._serving)
            return [a.OldSessionUpdated(event_id=self._event_id(), session=shown)]
        return [a.SessionUpdated(event_id=self._event_id(), session=self._shown(self._configuration))]

    def _shown(self, configuration: Configuration) -> a.SessionShown:
        return configuration.shown(f"sess_{self._name}", serving=self._serving)

    def _adopt(self, asked: _Asked) -> None:
        """Take up a change that is in force, but for the model, which follows when it serves."""
        if asked.change is not None:
            model = self._configuration.model
            self._configuration = msgspec.structs.replace(self._configuration.patched(asked.change), model=model)
            asked.change = None

    # items

    def _speech_started(self, event: e.SpeechStarted) -> Told:
        item = self._open = self._open or self._new_item()
        item.open_segment(event.segment_id)
        self._items[event.segment_id] = item
        if not self._configuration.detects_turns:
            return []
        start = round(event.start * 1000)
        return [a.SpeechStarted(event_id=self._event_id(), audio_start_ms=start, item_id=item.item_id)]

    def _speech_ended(self, event: e.SpeechEnded) -> Told:
        item = self._items.get(event.segment_id)
        if item is None or not self._configuration.detects_turns or self._current.commits:
            return []
        self._buffer_start = event.end
        stop = round(event.end * 1000)
        stopped = a.SpeechStopped(event_id=self._event_id(), audio_end_ms=stop, item_id=item.item_id)
        return [stopped, *self._committed(item, seconds=event.end - event.start)]

    def _new_item(self) -> Item:
        self._item_count += 1
        return Item(f"item_{self._name}_{self._item_count}")

    def _committed(self, item: Item, *, seconds: float) -> Told:
        previous, self._last_item_id = self._last_item_id, item.item_id
        self._open = None
        item.is_committed, item.seconds = True, seconds
        shown = item.shown()
        return [
            a.Committed(event_id=self._event_id(), previous_item_id=previous, item_id=item.item_id),
            a.ItemAdded(event_id=self._event_id(), previous_item_id=previous, item=shown),
            a.ItemDone(event_id=self._event_id(), previous_item_id=previous, item=shown),
        ]

    def _cleared(self) -> Told:
        self._items = {segment_id: item for segment_id, item in self._items.items() if item.is_committed}
        self._open = None
        self._buffer_start = self._heard
        return [a.Cleared(event_id=self._event_id())]

    # text

    def _delta(self, item: Item, segment_id: str, piece: str) -> Told:
        delta = item.say(segment_id, piece)
        if not delta:
            return []
        return [a.Delta(event_id=self._event_id(), item_id=item.item_id, content_index=0, delta=delta)]

    def _resolve(self, segment_id: str, final: e.FinalTranscribed | None) -> Told:
        item = self._items.pop(segment_id)
        told = [] if final is None else self._delta(item, segment_id, self._said.final(final)[0])
        item.close_segment(segment_id, final)
        return told + self._completed(item)

    def _completed(self, item: Item) -> Told:
        if not item.is_done:
            return []
        names = {"event_id": self._event_id(), "item_id": item.item_id}
        if item.failure is not None and not item.transcript:
            return [a.Failed(**names, content_index=0, error=_details(item.failure))]
        completed = a.Completed(
            **names,
            content_index=0,
            transcript=item.transcript,
            usage=a.Usage(seconds=round(item.seconds, 3)),
            logprobs=item.logprobs() if self._configuration.has_logprobs else UNSET,
        )
        if item.failure is None:
            return [completed]
        return [completed, a.ErrorEvent(event_id=self._event_id(), error=_details(item.failure))]

    # errors

    def _error(self, event: e.ErrorRaised) -> Told:
        asked = self._asked.pop(event.request_id, None) if isinstance(event.request_id, int) else None
        if asked is None and event.request_id is None and not event.session_id:
            asked = self._current  # nothing else answers a client without a name, and this one at once
            asked.is_refused = True
        error = _details(event)
        if asked is not None:
            error.event_id, error.param, error.code = asked.event_id, asked.param, asked.code or error.code
        return [a.ErrorEvent(event_id=self._event_id(), error=error)]

    def _event_id(self) -> str:
        self._event_count += 1
        return f"event_{self._name}_{self._event_count}"


def _first_wish(model: str, session_config: str) -> m.Session | BadField | None:
    if not model and not session_config:
        return None
    try:
        wish = m.decode_session(session_config or "{}")
    except BadField as error:
        return error
    if model:
        heard = wish.audio.input
        heard.transcription = heard.transcription or m.Transcription()
        heard.transcription.model = model
    return wish


def _details(event: e.ErrorRaised) -> a.ErrorDetails:
    kind: a.ErrorKind = "invalid_request_error"
    if event.code in _OURS:
        kind = "server_error"
    elif event.code in _BUSY:
        kind = "rate_limit_error"
    message = f"{event.message} ({event.log_id})" if event.log_id else event.message
    code = _CODES.get(event.code, event.code)
    return a.ErrorDetails(type=kind, code=code, message=message, param=None, event_id=None)


def _dump(told: Told) -> Sequence[Frame]:
    return [msgspec.json.encode(event) for event in told]
