"""Every fault of the network under clients of one socket, weak and strong, protocol by protocol.

Their sound is not numbered, so what is under way when a connection breaks is lost with it; they come back and go on. A
fault that breaks nothing costs no word. After any other, what was said on the last connection is told as a whole, no
word is told twice or out of order or to anybody else, nothing hangs, and the daemon holds nothing afterwards.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from fault_case import STRENGTHS, Case
from fault_proxy import fault_proxy
from fault_runner import REGISTRY, disturb
from hotmic.engines import echo
from reliability_support import Figures, both, health
from running import RunningDaemon, running_daemon
from tongue import TONGUES, Tongue

pytestmark = pytest.mark.integration

PACE = 0.1
LEAST = 15
"""Chunks said at least on the connection that is judged."""
HANG = 90.0
HARMLESS = ("latency", "bandwidth", "slices")
OVERLOADED = 1013
"""Close code of a refusal: this row is not about how many fit, so they come again."""
LANES = 24
DIALECTS = [name for name in TONGUES if name != "audio"]
"""The audio socket's clients number their chunks, see ``test_network_faults.py``."""


class Talker:
    """A client of one protocol that says numbers, and comes back where its connection breaks.

    Args:
        tongue: How it speaks.
        number: Whose words it says.
        uri: Where.
    """

    def __init__(self, tongue: Tongue, number: int, uri: str) -> None:
        self.tongue, self.number, self.uri = tongue, number, uri
        self.next = self.connections = self.refusals = 0
        self.may_end = asyncio.Event()
        self._news = asyncio.Event()

    @property
    def said(self) -> list[int]:
        return [self.number * echo.SPEAKER_STRIDE + number for number in range(self.next)]

    @property
    def told(self) -> list[int]:
        return [int(word) for word in self.tongue.text.split()]

    async def talk(self) -> None:
        """Speak until the fault is over and what was said on the last connection is told."""
        while True:
            with contextlib.suppress(InvalidHandshake, InvalidMessage, OSError, TimeoutError):
                async with connect(f"{self.uri}{self.tongue.target}", ping_interval=None, close_timeout=1) as socket:
                    self.connections += 1
                    try:
                        await self._converse(socket)
                        return
                    except ConnectionClosed as closed:
                        self.refusals += closed.rcvd is not None and closed.rcvd.code == OVERLOADED
            self.tongue.texts.append(" ")  # what the next connection tells may be the beginning of another session
            await asyncio.sleep(0.05)

    async def _converse(self, socket: ClientConnection) -> None:
        works = [asyncio.create_task(work(socket)) for work in (self._speak, self._hear)]
        try:
            await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for work in works:
                work.cancel()
            spoken, heard = await asyncio.gather(*works, return_exceptions=True)
        for outcome in (heard, spoken):
            if isinstance(outcome, Exception):
                raise outcome

    async def _speak(self, socket: ClientConnection) -> None:
        begin = self.next
        for frame in self.tongue.greet():
            await socket.send(frame)
        while not self.may_end.is_set() or self.next < begin + LEAST:
            self.next += 1
            sound = echo.chunk(self.next - 1, speaker=self.number)
            await socket.send(self.tongue.chunk(sound))
            await asyncio.sleep(PACE)
        for frame in self.tongue.end():
            await socket.send(frame)
        while not set(self.said[begin:]) <= set(self.told):
            self._news.clear()
            await self._news.wait()

    async def _hear(self, socket: ClientConnection) -> None:
        while True:
            self.tongue.hear(await socket.recv())
            self._news.set()


def cases(turn: int) -> Iterator[tuple[str, Case]]:
    """Yield 80 cases of all protocols; another turn draws others."""
    rng = random.Random(1000 + turn)
    number = 0
    for kind, bands in STRENGTHS.items():
        for place, dialect in enumerate(DIALECTS):
            for band in (turn + place, turn + place + 1):
                number += 1
                low, high = bands[band % len(bands)]
                yield dialect, Case(number, kind, "audio", rng.uniform(low, high), rng.uniform(0.2, 2.0))


async def judge(dialect: str, case: Case, daemon: RunningDaemon, lanes: asyncio.Semaphore) -> tuple[int, str]:
    """Return how many connections it took, and what is wrong; empty where nothing is."""
    gateway = daemon.http.replace("http", "ws", 1)
    tongue = TONGUES[dialect](f"c{case.number}")
    async with lanes, fault_proxy(gateway) as (proxy, uri):
        talker = Talker(tongue, case.number, uri)

        async def strike() -> None:
            for step in case.steps():
                await asyncio.sleep(step.at if step is case.steps()[0] else 0.2)
                await disturb([proxy], step)
            talker.may_end.set()

        striking = asyncio.create_task(strike())
        try:
            async with asyncio.timeout(HANG):
                await talker.talk()
        except TimeoutError:
            return 0, f"{dialect} {case}: hung; {talker.connections} connections, {tongue.texts}, {tongue.codes}"
        finally:
            striking.cancel()
            await asyncio.gather(striking, return_exceptions=True)
    wrong = []
    if talker.told != sorted(set(talker.told)):
        wrong.append(f"twice or out of order: {talker.told}")
    if foreign := set(talker.told) - set(talker.said):
        wrong.append(f"foreign {foreign}")
    if case.kind in HARMLESS and not talker.refusals and (talker.told != talker.said or talker.connections != 1):
        wrong.append(f"{talker.connections} connections, not told {sorted(set(talker.said) - set(talker.told))[:9]}")
    if set(tongue.codes) - {"overloaded"}:
        wrong.append(f"errors {tongue.codes}")
    return talker.connections, f"{dialect} {case}: {'; '.join(wrong)}" if wrong else ""


async def judge_all(daemon: RunningDaemon, turn: int) -> list[int]:
    lanes = asyncio.Semaphore(LANES)
    found = await asyncio.gather(*(judge(dialect, case, daemon, lanes) for dialect, case in cases(turn)))
    assert not (failures := [wrong for _, wrong in found if wrong]), "\n".join(["", *failures])
    async with asyncio.timeout(HANG):
        while (await health(daemon))["sessions"]:
            await asyncio.sleep(0.05)
    return [connections for connections, _ in found]


@pytest.mark.parametrize("turns", both(range(1), range(1, 26)))
def test_faults_of_the_network(tmp_path: Path, figures: Figures, turns: range) -> None:
    models = tmp_path / "models.yaml"
    models.write_text(REGISTRY)
    env = {"HOTMIC_SESSION_TTL_S": "2"}
    made: Counter[int] = Counter()
    with running_daemon(tmp_path, "--models", str(models), "--vad", "webrtc", env=env) as daemon:
        for turn in turns:
            made.update(asyncio.run(judge_all(daemon, turn)))
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.log.read_text()
    figures.note(cases=made.total(), connections=sum(count * times for count, times in made.items()))


def test_a_turn_has_eighty_cases_with_every_fault_in_every_protocol() -> None:
    drawn = list(cases(0))
    assert len(drawn) == 80
    assert drawn == list(cases(0)) != list(cases(1))
    assert {(dialect, case.kind) for dialect, case in drawn} == {
        (name, kind) for name in DIALECTS for kind in STRENGTHS
    }
