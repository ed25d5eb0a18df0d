"""Several speakers talk to a daemon while a schedule of faults strikes; what comes of it is a history."""

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from fault_proxy import Fault, FaultProxy, fault_proxy
from fault_schedule import CLIENTS, NETWORK, SECONDS, Schedule, Step
from history import Entry, What
from hotmic.engines import echo
from hotmic_client import Client, Event
from running import RunningDaemon, start_daemon

HANG = 90.0
"""Seconds after which a run counts as hung; a hung worker alone costs five."""
CHANNELS = ("pair", "pair", "alone")
REGISTRY = """default: echo
models:
  - {id: echo, name: Echo, type: echo, languages: [en]}
  - {id: twin, name: Twin, type: echo, languages: [en]}
  - {id: broken, name: Broken, type: echo, languages: [en], options: {fail_load: It is broken.}}
"""
PACE = 0.06
SILENCE = 9
"""Chunks of silence that end a segment."""


class History:
    """Entries in the order in which they happened."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def note(self, what: What, client: str, session: str, **payload: Any) -> None:
        """Add an entry."""
        self.entries.append(Entry(what, asyncio.get_running_loop().time(), client, session, payload))

    def note_event(self, client: str, event: Event) -> None:
        """Add what a client heard, if it is of those that are judged."""
        match event:
            case {"type": "ack", "session_id": session, "seq": seq}:
                self.note("acked", client, session, seq=seq)
            case {"type": "final_transcription", "session_id": session, "segment_id": segment, "text": text}:
                self.note("final", client, session, segment_id=segment, text=text, seq=event.get("seq"))
            case {"type": "realtime_transcription", "session_id": session, "segment_id": segment, "stable": stable}:
                self.note("partial", client, session, segment_id=segment, stable=stable)


class Speaker(Client):
    """A client whose words and acknowledgements are noted.

    Args:
        name: Its name in the history.
        number: Whose words it says.
        history: Where to note.
        control: Address of the control socket.
        audio: Address of the audio socket.
        channel: Where it speaks.
        patience: Seconds to try to reconnect; with 0 it does not number its chunks.
    """

    def __init__(
        self,
        name: str,
        number: int,
        history: History,
        control: str,
        audio: str,
        *,
        channel: str,
        patience: float = 60.0,
    ) -> None:
        super().__init__(control, audio, channel=channel, patience=patience)
        self.name, self.number, self.said = name, number, 0
        self._history, self._sent = history, 0
        history.note("joined", name, self.session, speaker=number, channel=channel, speaks=True)

    async def say(self) -> None:
        """Say the next number."""
        await self._note_and_send(self.said, echo.chunk(self.said, speaker=self.number).tobytes())

    async def pause(self) -> None:
        """Send silence enough to end a segment."""
        for _ in range(SILENCE):
            await self._note_and_send(None, bytes(2 * echo.CHUNK))

    async def listen(self) -> None:
        """Note what is heard until everything that was said is told."""
        async for event in self.events():
            self._history.note_event(self.name, event)
            if event["type"] == "recording_stopped" and self.is_own(event):
                return

    async def _note_and_send(self, number: int | None, pcm: bytes) -> None:
        seq = self._sent if self._patience else None
        self._history.note("sent", self.name, self.session, seq=seq, number=number)
        self._sent += 1
        self.said += number is not None
        await self.send_audio(pcm)

    def _take(self, event: Event, *, by_audio: bool) -> None:
        if event["type"] == "ack":
            self._history.note_event(self.name, event)
        super()._take(event, by_audio=by_audio)


class Gateway:
    """A daemon that is ended and started again at the same addresses.

    Args:
        folder: Where its registry and its logs go.
    """

    def __init__(self, folder: Path) -> None:
        self.lock = asyncio.Lock()
        self._folder = folder
        self._models = folder / "models.yaml"
        self._models.write_text(REGISTRY)
        self._ports = [str(port) for port in _free_ports(2)]
        self._stopped: set[int] = set()
        self.daemon: RunningDaemon

    async def start(self) -> None:
        """Start it; returns once its model serves."""
        flags = ("--control-port", self._ports[0], "--audio-port", self._ports[1])
        more = ("--models", str(self._models), "--vad", "webrtc")
        self.daemon = await asyncio.to_thread(start_daemon, self._folder, *flags, *more)

    async def end(self, *, kindly: bool) -> None:
        """End it, as a service manager or as a crash does."""
        self.release()
        if kindly:
            code = await asyncio.to_thread(self.daemon.stop)
            assert code == 0, f"the daemon ended with {code}:\n{self.daemon.log.read_text()[-3000:]}"
        else:
            self.daemon.process.kill()
            await asyncio.to_thread(self.daemon.process.wait)

    def workers(self) -> list[int]:
        """Return the process ids of its workers; none while it is being started again."""
        pid = self.daemon.process.pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except FileNotFoundError:
            return []
        return [int(child) for child in children if b"hotmic.worker.child" in _command_of(int(child))]

    def freeze(self, pid: int) -> None:
        """Stop a worker, as if it hung."""
        os.kill(pid, signal.SIGSTOP)
        self._stopped.add(pid)

    def release(self) -> None:
        """End the workers that were stopped and that nobody may live to end."""
        for pid in self._stopped & set(self.workers()):
            os.kill(pid, signal.SIGKILL)
        self._stopped.clear()


def _command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def _free_ports(count: int) -> list[int]:
    """Return ports that nothing else takes meanwhile: below those the system picks for outgoing connections."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return list(dict.fromkeys(found)) if len(set(found)) == count else _free_ports(count)


class Talk:
    """One run: speakers, a listener and a schedule.

    Args:
        schedule: The faults.
        gateway: The daemon, started.
    """

    def __init__(self, schedule: Schedule, gateway: Gateway) -> None:
        self.history = History()
        self._schedule, self._gateway = schedule, gateway
        self._rng = random.Random(schedule.seed)
        self._proxies: list[tuple[FaultProxy, FaultProxy]] = []
        self._is_over = asyncio.Event()
        self._may_read = asyncio.Event()
        self._may_read.set()

    async def run(self) -> list[Entry]:
        """Talk until every fault has struck and everything is told.

        Raises:
            TimeoutError: Something hangs.
        """
        async with AsyncExitStack() as stack, asyncio.timeout(HANG):
            works = [self._speak(await stack.enter_async_context(self._speaker(n))) for n in range(CLIENTS)]
            if not self._schedule.ends_gateway:
                works.append(self._speak_bare(number=CLIENTS))
            listening = asyncio.create_task(self._listen_slowly())
            try:
                async with asyncio.TaskGroup() as group:
                    for work in works:
                        group.create_task(work)
                    group.create_task(self._strike_all())
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
        return self.history.entries

    @asynccontextmanager
    async def _speaker(self, number: int) -> AsyncIterator[Speaker]:
        daemon = self._gateway.daemon
        async with fault_proxy(daemon.control) as (controls, control), fault_proxy(daemon.audio) as (audios, audio):
            self._proxies.append((controls, audios))
            name = f"speaker{number}"
            async with Speaker(name, number, self.history, control, audio, channel=CHANNELS[number]) as speaker:
                yield speaker

    async def _speak(self, speaker: Speaker) -> None:
        listening = asyncio.create_task(speaker.listen())
        try:
            while not self._is_over.is_set():
                for _ in range(self._rng.randint(3, 25)):
                    await speaker.say()
                    await asyncio.sleep(PACE)
                await speaker.pause()
            for _ in range(5):
                await speaker.say()
            await speaker.end_audio()
            await listening
        finally:
            listening.cancel()

    async def _speak_bare(self, number: int) -> None:
        """Speak as the original's clients do, with bare frames, and hear it on the control socket."""
        daemon, name, note = self._gateway.daemon, "bare", self.history.note
        note("joined", name, name, speaker=number, channel=name, speaks=True)
        async with (
            connect(f"{daemon.control}?channel={name}") as control,
            connect(f"{daemon.audio}?channel={name}&session={name}") as audio,
        ):
            listening = asyncio.create_task(self._listen_bare(control, name))
            said = 0
            while not self._is_over.is_set():
                note("sent", name, name, seq=None, number=said)
                await audio.send(echo.chunk(said, speaker=number).tobytes())
                said += 1
                await asyncio.sleep(PACE)
            await audio.send('{"type": "audio_end"}')
            await listening

    async def _listen_bare(self, control: ClientConnection, name: str) -> None:
        async for frame in control:
            event = json.loads(frame)
            self.history.note_event(name, event)
            if event["type"] == "recording_stopped":
                return
        raise AssertionError("The daemon closed the bare client's connection.")

    async def _listen_slowly(self) -> None:
        """Hear the first channel on a connection that is not always read."""
        self.history.note("joined", "listener", "listener", speaker=-1, channel=CHANNELS[0], speaks=False)
        while True:
            with contextlib.suppress(OSError, ConnectionClosed, InvalidHandshake):
                async with connect(f"{self._gateway.daemon.control}?channel={CHANNELS[0]}", max_queue=1) as socket:
                    while True:
                        await self._may_read.wait()
                        self.history.note_event("listener", json.loads(await socket.recv()))
            await asyncio.sleep(0.2)

    # faults

    async def _strike_all(self) -> None:
        begin = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            for step in self._schedule.steps:
                group.create_task(self._strike(step, begin))
            group.create_task(asyncio.sleep(SECONDS))
        self._is_over.set()

    async def _strike(self, step: Step, begin: float) -> None:
        await asyncio.sleep(begin + step.at - asyncio.get_running_loop().time())
        if step.kind in NETWORK:
            await disturb(self._reached(step), step)
            return
        strikes: dict[str, Callable[[Step], Awaitable[None]]] = {
            "kill_worker": self._kill_worker,
            "hang_worker": self._hang_worker,
            "swap": self._swap,
            "failing_load": self._fail_to_load,
            "slow_listener": self._stall_listener,
            "kill_gateway": self._end_gateway,
            "stop_gateway": self._end_gateway,
        }
        await strikes[step.kind](step)

    def _reached(self, step: Step) -> list[FaultProxy]:
        controls, audios = self._proxies[step.client]
        return {"control": [controls], "audio": [audios], "both": [controls, audios]}[step.where]

    async def _kill_worker(self, step: Step) -> None:
        async with self._gateway.lock:
            for pid in self._gateway.workers()[:1]:
                os.kill(pid, signal.SIGKILL)

    async def _hang_worker(self, step: Step) -> None:
        async with self._gateway.lock:
            for pid in self._gateway.workers()[:1]:
                self._gateway.freeze(pid)

    async def _swap(self, step: Step) -> None:
        await self._load("twin" if step.amount else "echo", "beside" if step.client else "replace")

    async def _fail_to_load(self, step: Step) -> None:
        await self._load("broken", "beside" if step.client else "replace")

    async def _load(self, model_id: str, mode: str) -> None:
        """Ask for a model and wait for an answer, which may be the end of the gateway."""
        with contextlib.suppress(OSError, ConnectionClosed, InvalidHandshake):
            async with connect(f"{self._gateway.daemon.control}?channel=models") as socket:
                await socket.send(json.dumps({"type": "load_model", "model_id": model_id, "mode": mode}))
                while json.loads(await socket.recv())["type"] not in ("model_loaded", "error"):
                    pass

    async def _stall_listener(self, step: Step) -> None:
        self._may_read.clear()
        await asyncio.sleep(step.seconds)
        self._may_read.set()

    async def _end_gateway(self, step: Step) -> None:
        async with self._gateway.lock:
            await self._gateway.end(kindly=step.kind == "stop_gateway")
            await self._gateway.start()


async def disturb(proxies: list[FaultProxy], step: Step) -> None:
    """Let a fault of the network last as long as it is meant to."""
    match step.kind:
        case "reset":
            for proxy in proxies:
                proxy.reset()
            return
        case "half_close":
            for proxy in proxies:
                proxy.half_close()
            return
    fault = fault_of(step)
    for proxy in proxies:
        proxy.fault = fault
        if step.kind in ("down", "slow_close"):
            proxy.reset() if step.kind == "down" else proxy.half_close()
    await asyncio.sleep(step.seconds)
    for proxy in proxies:
        if proxy.fault is fault:
            proxy.fault = Fault()
        if step.kind == "blackhole":
            # What was swallowed is gone, so the connection cannot go on.
            proxy.reset()


def fault_of(step: Step) -> Fault:
    """Return a lasting fault of the network as the proxy knows it."""
    match step.kind:
        case "down":
            return Fault(down=True)
        case "blackhole":
            return Fault(blackhole=True)
        case "latency":
            return Fault(latency_s=step.amount, jitter_s=step.amount / 2)
        case "slices":
            return Fault(slice_bytes=int(step.amount))
        case "bandwidth":
            return Fault(bytes_per_s=step.amount)
        case "limit":
            return Fault(limit_bytes=int(step.amount))
        case "slow_close":
            return Fault(close_delay_s=step.amount)
    raise ValueError(f"{step.kind} does not last")


async def talk_through(schedule: Schedule, folder: Path) -> list[Entry]:
    """Run a schedule against a daemon of its own and return the history.

    Raises:
        TimeoutError: Something hangs.
    """
    gateway = Gateway(folder)
    await gateway.start()
    try:
        return await Talk(schedule, gateway).run()
    finally:
        await gateway.end(kindly=True)
