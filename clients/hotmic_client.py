"""A client of hotmic's control and audio sockets; needs only ``websockets``.

```python
async with Client() as client:
    async for event in client.transcribe_file("talk.wav"):
        if event["type"] == "final_transcription":
            print(event["text"])
```
"""

import asyncio
import base64
import itertools
import json
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException

from hotmic_error import ClientError, failure_of, gone, read_event, refused
from hotmic_speech import Event, Hearing, Speech, read_wav

__all__ = ("AUDIO_URI", "CONTROL_URI", "Client", "ClientError", "Event", "read_wav")

CONTROL_URI = "ws://127.0.0.1:8765"
AUDIO_URI = "ws://127.0.0.1:8766"
CHUNK_S = 0.1
EVENTS_LIMIT = 10_000
GREETING_WAIT = 5.0
"""Seconds; the audio socket, taken for the control socket, would never greet."""

KEPT_S = 120.0
"""Seconds of audio that are kept for a daemon that is away; then ``send_audio`` waits."""
FATAL = (1000, 1003, 1007, 1008, 1009)
"""Close codes after which the same again would end the same way (RFC 6455, 7.4.1)."""
RETRIED = ("unreachable", "closed", "timeout", "shutting_down", "overloaded", "rate_limited")
BACKOFF_S = (0.1, 5.0)


class Client:
    """One speaker and controller.

    A connection that breaks is made again: ``events`` tells ``reconnecting`` and ``reconnected``, what was said and not
    told yet is said again, finals that were missed are told, and none is told twice.

    Args:
        control: Address of the control socket.
        audio: Address of the audio socket.
        token: Bearer token, where the daemon wants one.
        channel: Who hears this speaker.
        wait: Seconds to wait for the answer to a request.
        patience: Seconds to try to reconnect; 0 ends with the first broken connection, and chunks are not numbered.

    ``dropped`` counts the events that were lost because ``events`` was not read.
    """

    def __init__(
        self,
        control: str = CONTROL_URI,
        audio: str = AUDIO_URI,
        *,
        token: str | None = None,
        channel: str | None = None,
        wait: float = 30.0,
        patience: float = 60.0,
    ) -> None:
        self.connected: Event = {}
        self.dropped = 0
        self.session = self._name = f"client-{uuid.uuid4().hex[:12]}"
        self._uris = [_with_query(control, channel=channel), _with_query(audio, channel=channel, session=self.session)]
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._wait, self._patience = wait, patience
        self._channel = channel or "default"
        self._speech = Speech()
        self._options: Event = {}
        self._order = asyncio.Lock()
        self._room = asyncio.Event()
        self._hearing = Hearing()
        self._has_ended = False
        self._failure: ClientError | None = None
        self._control: ClientConnection | None = None
        self._audio: ClientConnection | None = None
        self._numbers = itertools.count(1)
        self._answers: dict[str, asyncio.Queue[Event]] = {}
        self._events: asyncio.Queue[Event | ClientError] = asyncio.Queue(maxsize=EVENTS_LIMIT)
        self._listeners: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Client":
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Connect both sockets.

        Raises:
            ClientError: Unreachable or refused.
        """
        try:
            for uri in self._uris:
                if not uri.startswith(("ws://", "wss://")):
                    raise ClientError("bad_address", f"{uri}: an address begins with ws:// or wss://.")
            self._control = await self._connect(self._uris[0])
            self._audio = await self._connect(self._uris[1])
            self.connected = await self._greeting(self._control)
            # What was said before is not this client's business.
            self._hearing.last_event_id = self.connected.get("event_id", 0)
        except ClientError:
            await self.close()
            raise
        self._listeners = [
            asyncio.create_task(self._keep_up(self._hear_control, self._reopen_control, "control")),
            asyncio.create_task(self._keep_up(self._hear_audio, self._reopen_audio, "audio")),
        ]

    async def _connect(self, uri: str) -> ClientConnection:
        address = uri.partition("?")[0]
        try:
            return await connect(uri, additional_headers=self._headers, compression=None)
        except InvalidStatus as error:
            raise refused(error) from error
        except InvalidHandshake as error:
            raise ClientError("unreachable", f"What answers at {address} is no hotmic daemon.") from error
        except (OSError, WebSocketException) as error:
            raise ClientError("unreachable", f"No daemon answers at {address}.") from error

    async def _greeting(self, socket: ClientConnection) -> Event:
        try:
            async with asyncio.timeout(min(self._wait, GREETING_WAIT)):
                greeting = read_event(await socket.recv())
        except TimeoutError as error:
            address = self._uris[0].partition("?")[0]
            message = f"No greeting came from {address}: is that the control socket, and does it want a token?"
            raise ClientError("timeout", message) from error
        except ConnectionClosed as error:
            raise gone(error) from error
        if greeting.get("type") == "error":
            raise ClientError(greeting["code"], greeting["message"])
        return greeting

    async def close(self) -> None:
        """Disconnect."""
        for listener in self._listeners:
            listener.cancel()
        await asyncio.gather(*self._listeners, return_exceptions=True)
        for socket in (self._audio, self._control):
            if socket is not None:
                await socket.close()

    # requests

    async def request(
        self, kind: str, *, until: str, on_progress: Callable[[Event], None] | None = None, **fields: Any
    ) -> Event:
        """Send a control request and return its answer.

        Args:
            kind: Type of the request.
            until: Type of the answer; others that carry the request's id go to ``on_progress``.
            on_progress: Hears what comes before.
            fields: Fields of the request; ``None`` leaves one out.

        Raises:
            ClientError: The daemon's error, or no answer in time (progress counts as a sign of life).
        """
        request_id = str(next(self._numbers))
        answers = self._answers[request_id] = asyncio.Queue()
        try:
            body = {"type": kind, "request_id": request_id} | {k: v for k, v in fields.items() if v is not None}
            await self._send(self._control, json.dumps(body))
            while True:
                # Not wait_for: it loses a cancellation that comes together with the answer (Python 3.11).
                async with asyncio.timeout(self._wait):
                    answer = await answers.get()
                if answer["type"] == "error":
                    raise ClientError(answer["code"], answer["message"])
                if answer["type"] == until:
                    return answer
                if on_progress is not None:
                    on_progress(answer)
        except TimeoutError as error:
            raise ClientError("timeout", f"The daemon did not answer '{kind}' within {self._wait:.0f} s.") from error
        finally:
            del self._answers[request_id]

    async def models(self) -> Event:
        """Return the list of models: ``models``, ``default``, ``current_model``."""
        return await self.request("get_models", until="available_models")

    async def load_model(self, model_id: str, on_progress: Callable[[Event], None] | None = None) -> Event:
        """Load a model and make it the one that serves; downloads what is missing."""
        return await self.request("load_model", until="model_loaded", on_progress=on_progress, model_id=model_id)

    async def status(self) -> Event:
        """Return the daemon's status."""
        return await self.request("get_status", until="status")

    async def configure(self, **options: Any) -> Event:
        """Set options of the channel's sessions: language, task, vad, denoise, hotwords, prompt, beam."""
        answer = await self.request("configure", until="configured", **options)
        self._options |= options
        return answer

    async def start_recording(self, **config: Any) -> Event:
        """Start recording on the channel."""
        return await self.request("start_recording", until="recording_started", config=config or None)

    async def stop_recording(self) -> Event:
        """Stop recording on the channel; returns after the last final."""
        return await self.request("stop_recording", until="recording_stopped")

    # audio

    async def send_audio(self, pcm16: bytes, *, sample_rate: int = 16_000, as_json: bool = False) -> None:
        """Send mono PCM16; while the daemon is away, keep it for later.

        Args:
            pcm16: At most a second or so; the daemon takes up to 128 KiB in one chunk.
            sample_rate: Hertz.
            as_json: Whether chunks that are not numbered travel in JSON at 16 kHz too.

        Raises:
            ClientError: The connection is gone, and ``patience`` is over.
        """
        if not self._patience:
            await self._send_unnumbered(pcm16, sample_rate, as_json=as_json)
            return
        while self._speech.kept_s > KEPT_S and self._failure is None:
            self._room.clear()
            await self._room.wait()
        async with self._order:
            self._has_ended = False
            await self._say(self._speech.add(pcm16, sample_rate))

    async def _send_unnumbered(self, pcm16: bytes, sample_rate: int, *, as_json: bool) -> None:
        if sample_rate == 16_000 and not as_json:
            await self._send(self._audio, pcm16)
            return
        data = base64.b64encode(pcm16).decode()
        await self._send(self._audio, json.dumps({"type": "audio_chunk", "data": data, "sample_rate": sample_rate}))

    async def end_audio(self) -> None:
        """Say that the speaker is done."""
        async with self._order:
            self._speech.is_ending = True
            await self._say(json.dumps({"type": "audio_end"}))

    async def _say(self, frame: str) -> None:
        """Send a frame that is said again after a broken connection."""
        if self._failure is not None:
            raise self._failure
        try:
            await self._send(self._audio, frame)
        except ClientError:
            if not self._patience:
                raise

    async def events(self) -> AsyncIterator[Event]:
        """Yield what the channel hears, transcripts among it, until the connection ends.

        Raises:
            ClientError: The connection broke.
        """
        while True:
            event = await self._events.get()
            if isinstance(event, ClientError):
                raise event
            yield event

    async def transcribe_file(self, path: str | Path, *, speed: float = 1.0) -> AsyncIterator[Event]:
        """Speak a WAV file in real time and yield events until its last final.

        Args:
            path: PCM16 WAV; of several channels the mean is sent.
            speed: 2 is twice as fast; 0 as fast as the daemon takes it.

        Raises:
            ClientError: Not such a file, or the connection broke.
        """
        rate, pcm = read_wav(path)
        speaking = asyncio.create_task(self._speak(pcm, rate, speed))
        try:
            async for event in self.events():
                if not self.is_own(event):
                    continue
                yield event
                if event["type"] == "recording_stopped":
                    break
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)

    async def _speak(self, pcm: bytes, rate: int, speed: float) -> None:
        loop = asyncio.get_running_loop()
        start, size = loop.time(), 2 * int(rate * CHUNK_S)
        for number, begin in enumerate(range(0, len(pcm), size), 1):
            await self.send_audio(pcm[begin : begin + size], sample_rate=rate)
            if speed > 0:
                await asyncio.sleep(start + number * CHUNK_S / speed - loop.time())
        await self.end_audio()

    async def _send(self, socket: ClientConnection | None, frame: str | bytes) -> None:
        if socket is None:
            raise ClientError("closed", "The client is not open.")
        try:
            await socket.send(frame)
        except ConnectionClosed as error:
            raise gone(error) from error

    # connections that come back

    async def _keep_up(
        self, hear: Callable[[], Awaitable[None]], reopen: Callable[[], Awaitable[None]], name: str
    ) -> None:
        """Listen on a socket, and open it again whenever it breaks."""
        try:
            while True:
                broken = await self._until_broken(hear)
                self._keep({"type": "reconnecting", "socket": name, "message": str(broken)})
                await self._reopen(reopen)
                self._keep({"type": "reconnected", "socket": name})
        except ClientError as error:
            self._failure = error
            self._room.set()
            self._tell_all(error)

    async def _until_broken(self, hear: Callable[[], Awaitable[None]]) -> ClientError:
        try:
            await hear()
        except ConnectionClosed as error:
            code = error.rcvd.code if error.rcvd else 1006
            if code in FATAL or not self._patience:
                raise gone(error) from error
            return gone(error)
        raise ClientError("closed", "The daemon closed the connection.")

    async def _reopen(self, reopen: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + self._patience, BACKOFF_S[0]
        while True:
            try:
                await reopen()
                return
            except (ClientError, ConnectionClosed, TimeoutError) as error:
                failure = failure_of(error)
                if failure.code not in RETRIED or loop.time() + pause > deadline:
                    raise failure from error
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, BACKOFF_S[1])

    async def _reopen_control(self) -> None:
        for answers in self._answers.values():
            answers.put_nowait({"type": "error", "code": "closed", "message": "The connection broke; ask again."})
        self._control = await self._connect(self._uris[0])
        self.connected = await self._greeting(self._control)
        await self._control.send(self._catch_up())

    async def _reopen_audio(self) -> None:
        async with self._order:
            socket = await self._connect(self._uris[1])
            try:
                await self._say_again(socket)
            except BaseException:
                await socket.close()
                raise
            self._audio = socket

    def _catch_up(self) -> str:
        """Return the request for the finals that were missed, some of which may have been heard after all."""
        self._hearing.finished.clear()
        last = self._hearing.last_event_id
        return json.dumps({"type": "subscribe", "channel": self._channel, "last_event_id": last})

    async def _say_again(self, socket: ClientConnection) -> None:
        await socket.send(self._catch_up())
        begin = await self._resume(socket)
        if self._options:
            await socket.send(json.dumps({"type": "configure"} | self._options))
        for frame in self._speech.frames(begin=begin):
            await socket.send(frame)
        if self._speech.is_ending:
            await socket.send(json.dumps({"type": "audio_end"}))

    async def _resume(self, socket: ClientConnection) -> int:
        """Ask for the session back; return the first chunk to send, which is any where the session is gone."""
        await socket.send(json.dumps({"type": "resume", "session_id": self.session}))
        while True:
            async with asyncio.timeout(self._wait):
                event = read_event(await socket.recv())
            match event:
                case {"type": "resumed", "next_seq": next_seq}:
                    return int(next_seq)
                case {"type": "error", "code": "session_gone"}:
                    return 0
                case {"type": "error", "code": code, "message": message}:
                    raise ClientError(code, message)
                case _:
                    self._take(event, by_audio=True)

    # hearing

    def is_own(self, event: Event) -> bool:
        """Return whether an event is of this client's own speech, or of no session at all."""
        name = event.get("session_id", self.session)
        return bool(name == self.session or name.startswith(f"{self._name}-"))

    def _learn(self, event: Event) -> None:
        """Take what an event says about the own session: its id, what is settled, whether all of it was told."""
        if "session_id" not in event or not self.is_own(event):
            return
        self.session = event["session_id"]
        if event.get("seq") is not None:
            self._speech.settle(event["seq"])
            self._room.set()

    async def _hear_control(self) -> None:
        """Sort what the control socket hears: answers to whoever asked, the rest to ``events``."""
        assert self._control is not None
        async for frame in self._control:
            event = read_event(frame)
            waiting = self._answers.get(str(event.get("request_id")))
            if waiting is not None:
                waiting.put_nowait(event)
            else:
                self._take(event, by_audio=False)

    async def _hear_audio(self) -> None:
        """Read the audio socket: it tells errors about the audio, and finals should the other one be broken."""
        assert self._audio is not None
        async for frame in self._audio:
            self._take(read_event(frame), by_audio=True)

    def _take(self, event: Event, *, by_audio: bool) -> None:
        """Learn from an event and keep it for ``events``, the first time it is told by either socket."""
        self._learn(event)
        match event["type"]:
            case "final_transcription":
                is_news = self._hearing.is_news(event)
            case "recording_stopped" if self.is_own(event):
                is_news = self._is_end(by_audio=by_audio)
            case "realtime_transcription":
                is_news = not by_audio and event.get("segment_id") not in self._hearing.finished
            case "error":
                is_news = True
            case "warning" if event["code"] == "rate_limited":
                is_news = True  # told to the speaker alone
            case "subscribed":
                is_news = False
            case _:
                is_news = not by_audio
        if is_news:
            self._keep(event)

    def _is_end(self, *, by_audio: bool) -> bool:
        """Return whether the end of a recording is news: both sockets tell it, and again to who asked again."""
        if self._has_ended:
            return False
        if self._speech.is_ending:
            self._speech.is_ending, self._has_ended = False, True
            return True
        return not by_audio

    def _tell_all(self, error: ClientError) -> None:
        for answers in self._answers.values():
            answers.put_nowait({"type": "error", "code": error.code, "message": str(error)})
        self._keep(error)

    def _keep(self, event: Event | ClientError) -> None:
        """Queue for ``events``. The oldest goes when nobody reads: waiting would hold up the answers to requests."""
        if self._events.full():
            self._events.get_nowait()
            self.dropped += 1
        self._events.put_nowait(event)


def _with_query(uri: str, **fields: str | None) -> str:
    given = urlencode({k: v for k, v in fields.items() if v is not None})
    parts = urlsplit(uri)
    path, query = parts.path or "/", "&".join(q for q in (parts.query, given) if q)
    return urlunsplit(parts._replace(path=path, query=query))
