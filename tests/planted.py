"""``hotmic`` with something wrong planted in it, to show that a test would see it: ``planted.py PLANT serve …``.

The product has no switch for any of this; the plants replace functions of the daemon's process before it starts.
"""

import socket
import sys
from typing import Any

import msgspec

from hotmic.net import listener
from hotmic.net.hub import Hub
from hotmic.net.runner import Runner
from hotmic.values import Word

KEPT: list[object] = []
LOUD, SWELL = "39999", 60_000
"""The speaker that ``wordy`` acts on, and how many letters its texts get."""


def leak() -> None:
    """Keep every chunk of audio and every event for ever."""
    publish, receive = Hub.publish, Runner.receive_audio

    def keep_event(self: Hub, event: Any, **more: Any) -> None:
        KEPT.append(event)
        publish(self, event, **more)

    def keep_audio(self: Runner, session_id: str, data: bytes, **more: Any) -> None:
        KEPT.append(4 * data)
        receive(self, session_id, data, **more)

    Hub.publish = keep_event  # type: ignore[method-assign]
    Runner.receive_audio = keep_audio  # type: ignore[method-assign]


def narrow() -> None:
    """Give connections send buffers as small as a slow network's, so that who reads nothing is felt at once."""
    build = listener.WebsocketsPeer.__init__

    def init(self: listener.WebsocketsPeer, connection: Any) -> None:
        raw = connection.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        build(self, connection)

    listener.WebsocketsPeer.__init__ = init  # type: ignore[method-assign]


def stumble() -> None:
    """Raise in the middle of a connection whenever a chunk of audio of an unusual length comes."""
    receive = Runner.receive_audio

    def fall(self: Runner, session_id: str, data: bytes, **more: Any) -> None:
        if len(data) == 3000:
            samples, options = data, self._sessions[session_id]._planner.options
            raise RuntimeError(f"planted, {len(samples)} bytes, task {options.task}")
        receive(self, session_id, data, **more)

    Runner.receive_audio = fall  # type: ignore[method-assign]


def markup() -> None:
    """Let every text of the engine be markup."""
    receive = Runner._receive_results
    evil = "<img src=x onerror=\"document.title='evil'\"><script>document.title='evil'</script>"

    def taint(self: Runner, jobs: Any, results: Any, now: float) -> None:
        words = (Word(word=evil, start=0.0, end=0.5, probability=1.0),)
        receive(self, jobs, [msgspec.structs.replace(result, text=evil, words=words) for result in results], now)

    Runner._receive_results = taint  # type: ignore[method-assign]


def wordy() -> None:
    """Let everything that the speaker with the longest name says be text of many kilobytes."""
    receive = Runner._receive_results

    def swell(self: Runner, jobs: Any, results: Any, now: float) -> None:
        receive(self, jobs, [_swollen(result) if LOUD in result.text else result for result in results], now)

    Runner._receive_results = swell  # type: ignore[method-assign]


def hurried() -> None:
    """Wait a second or less for clients that make the daemon wait."""
    from hotmic.net import connection, gateway, liveness, openai_rest, prompt, reply

    connection.FIRST_MESSAGE = listener.OPEN_WITHIN = liveness.TAKEN_WITHIN = 1.0
    prompt.REQUEST_WITHIN = reply.BODY_WITHIN = openai_rest.UPLOAD_PATIENCE = openai_rest.DISCARD_SECONDS = 1.0
    gateway.PING_INTERVAL, gateway.PING_TIMEOUT = 0.3, 0.8
    assert listener.Listener.__init__.__kwdefaults__
    listener.Listener.__init__.__kwdefaults__.update(ping_interval=0.3, ping_timeout=0.8)


def _swollen(result: Any) -> Any:
    words = (Word(word="x" * SWELL, start=0.0, end=0.5, probability=1.0),)
    return msgspec.structs.replace(result, text="x" * SWELL, words=words)


PLANTS = {"markup": markup, "leak": leak, "narrow": narrow, "stumble": stumble, "wordy": wordy, "hurried": hurried}

if __name__ == "__main__":
    PLANTS[sys.argv.pop(1)]()
    from hotmic.cli import main

    main()
