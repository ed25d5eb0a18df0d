"""Live captions in a terminal: from a WAV file or the microphone.

Needs ``websockets``; for the microphone also ``sounddevice``.

    python realtime_client.py --file talk.wav
    python realtime_client.py --mic
"""

import argparse
import asyncio
import json
import shutil
import signal
import sys
import unicodedata
from collections.abc import AsyncIterator
from typing import Any

from hotmic_client import AUDIO_URI, CONTROL_URI, Client, ClientError, Event

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
MIC_RATE = 16_000


class Captions:
    """What the terminal shows: a partial rewrites its line, a final stays.

    Args:
        as_json: Print every event as one line of JSON instead.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._rewrites = sys.stdout.isatty() and not as_json
        self._width = 0
        self._is_recorded_told = False

    def show(self, event: Event) -> None:
        """Show one event."""
        self.tell_recorded(event)
        if self._as_json:
            print(json.dumps(event, ensure_ascii=False), flush=True)
        elif event["type"] == "realtime_transcription" and self._rewrites:
            self._rewrite(event["text"])
        elif event["type"] == "final_transcription":
            self._rewrite("")
            print(event["text"], flush=True)
        elif event["type"] in ("reconnecting", "reconnected"):
            self._rewrite("")
            print(f"{event['type']} ({event['socket']})", file=sys.stderr, flush=True)
        elif event["type"] in ("error", "warning"):
            self._rewrite("")
            print(f"{event['type']}: {event['message']} ({event['code']})", file=sys.stderr, flush=True)

    def tell_recorded(self, event: Event) -> None:
        """Say once that the daemon records what is spoken, when an event tells it."""
        if event.get("recorded") and not self._is_recorded_told:
            self._is_recorded_told = True
            self._rewrite("")
            print("This session is being recorded to disk.", file=sys.stderr, flush=True)

    def _rewrite(self, text: str) -> None:
        if self._rewrites:
            # A line that wraps cannot be rewritten, so of a long partial the end is shown.
            line = fit(text, shutil.get_terminal_size().columns - 1)
            blank = " " * max(0, self._width - width(line))
            print(f"\r{line}{blank}" + ("" if line else "\r"), end="", flush=True)
            self._width = width(line)


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes: marks above and below letters none, CJK letters two."""
    return sum(
        2 if unicodedata.east_asian_width(c) in "WF" else unicodedata.category(c) not in ("Mn", "Me", "Cf")
        for c in text
    )


def fit(text: str, columns: int) -> str:
    """Return a text, or its end behind an ellipsis where it is too wide."""
    if width(text) <= columns:
        return text
    while text and width(text) > columns - 1:
        text = text[1:]
    return "…" + text


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Return the arguments; ends the program on wrong ones."""
    parser = argparse.ArgumentParser(description="Live captions from a file or the microphone.")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--file", metavar="WAV", help="speak a 16-bit WAV file")
    source.add_argument("--mic", nargs="?", const="", metavar="DEVICE", help="speak the microphone (name or number)")
    source.add_argument("--list-devices", action="store_true", help="list microphones")
    source.add_argument("--list-models", action="store_true", help="list the daemon's models")
    parser.add_argument("--model", help="load this model first")
    parser.add_argument("--language", help="language code, for instance th")
    parser.add_argument("--uri-control", default=CONTROL_URI, help="default: %(default)s")
    parser.add_argument("--uri-audio", default=AUDIO_URI, help="default: %(default)s")
    parser.add_argument("--token", help="bearer token")
    parser.add_argument("--channel", help="channel to speak in")
    parser.add_argument("--speed", type=float, default=1.0, help="pace of --file; 0: as fast as it goes")
    parser.add_argument("--json", action="store_true", help="print events as JSON lines")
    return parser.parse_args(arguments)


async def run(options: argparse.Namespace) -> int:
    """Do what the arguments ask; return the exit code."""
    uris = (options.uri_control, options.uri_audio)
    async with Client(*uris, token=options.token, channel=options.channel) as client:
        if options.list_models:
            show_models(await client.models())
            return OK
        if options.model:
            await client.load_model(options.model, on_progress=show_progress)
        show_notice(client.connected if not options.model else await chosen(client, options.model))
        if options.language:
            await client.configure(language=options.language)
        captions = Captions(as_json=options.json)
        captions.tell_recorded(client.connected)
        failed = False
        if options.file:
            events = client.transcribe_file(options.file, speed=options.speed)
        else:
            events = transcribe_microphone(client, options.mic)
        async for event in events:
            captions.show(event)
            failed = failed or event["type"] == "error"
        return FAILED if failed else OK


async def chosen(client: Client, model_id: str) -> Event:
    """Return the listing of a model."""
    models = (await client.models())["models"]
    return next((model for model in models if model["id"] == model_id), {})


def show_models(answer: Event) -> None:
    """Print the list of models."""
    for model in answer["models"]:
        marks = [
            m
            for m, on in (("serving", model["id"] == answer["current_model"]), ("recommended", model["recommended"]))
            if on
        ]
        print(f"{model['id']:26} {','.join(model['languages']):14} {model['performance_tier']:9} {' '.join(marks)}")


def show_progress(event: Event) -> None:
    """Print how far a model is."""
    if event["type"] == "model_loading":
        print(
            f"\r{event['model_id']}: {event['stage']} {event['progress']:.0%}   ", end="", file=sys.stderr, flush=True
        )
        if event["progress"] >= 1:
            print(file=sys.stderr)


def show_notice(listing: Event) -> None:
    """Print what a limited model knows."""
    if listing.get("notice"):
        print(listing["notice"], file=sys.stderr)
        print("Try: " + "; ".join(f"'{phrase}'" for phrase in listing.get("phrases", [])[:2]), file=sys.stderr)


def import_sounddevice() -> Any:
    """Return the sound library.

    Raises:
        ClientError: It, or the PortAudio library under it, is missing.
    """
    try:
        import sounddevice
    except ImportError as error:
        raise ClientError("no_sounddevice", "The microphone needs a package: pip install sounddevice") from error
    except OSError as error:
        raise ClientError("no_portaudio", "PortAudio is missing (Debian: apt-get install libportaudio2).") from error
    return sounddevice


def choose_rate(sounddevice: Any, device: int | str | None) -> int:
    """Return 16 kHz, or the microphone's own rate where it cannot do that.

    Raises:
        ValueError: There is no such microphone.
        sounddevice.PortAudioError: There is none at all.
    """
    try:
        sounddevice.check_input_settings(device=device, samplerate=MIC_RATE, channels=1, dtype="int16")
    except sounddevice.PortAudioError:
        return int(sounddevice.query_devices(device, "input")["default_samplerate"])
    return MIC_RATE


async def transcribe_microphone(client: Client, device: str) -> AsyncIterator[Event]:
    """Speak the microphone until Ctrl-C and yield events."""
    sounddevice = import_sounddevice()
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue()

    def take(data: Any, *_: Any) -> None:
        loop.call_soon_threadsafe(chunks.put_nowait, bytes(data))

    try:
        source = int(device) if device.isdigit() else device or None
        rate = choose_rate(sounddevice, source)
        stream = sounddevice.RawInputStream(
            samplerate=rate, blocksize=rate // 10, channels=1, dtype="int16", device=source, callback=take
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        raise ClientError("no_microphone", f"No usable microphone ({error}); see --list-devices.") from error

    async def speak() -> None:
        while True:
            await client.send_audio(await chunks.get(), sample_rate=rate)

    with stream:
        print("Speak; Ctrl-C ends, and the last words still come.", file=sys.stderr)
        speaking = asyncio.create_task(speak())
        ended = asyncio.create_task(end_on_interrupt(client, speaking))
        try:
            async for event in client.events():
                if not client.is_own(event):
                    continue
                yield event
                if ended.done() and event["type"] == "recording_stopped":
                    break
        finally:
            ended.cancel()
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)


async def end_on_interrupt(client: Client, speaking: "asyncio.Task[None]") -> None:
    """Wait for Ctrl-C, then say that the speaker is done; a second Ctrl-C ends the program at once."""
    loop, pressed = asyncio.get_running_loop(), asyncio.Event()
    before = signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(pressed.set))
    try:
        await pressed.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    speaking.cancel()
    await client.end_audio()


def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    options = parse_arguments(arguments)
    try:
        if options.list_devices:
            print(import_sounddevice().query_devices())
            return OK
        return asyncio.run(run(options))
    except ClientError as error:
        print(f"{error} ({error.code})", file=sys.stderr)
        return USAGE if error.code in ("bad_file", "no_sounddevice", "no_portaudio") else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
