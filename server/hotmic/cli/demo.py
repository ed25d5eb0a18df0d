"""``hotmic demo``: start the daemon, speak a bundled clip to it in real time, show partials turning into finals."""

import asyncio
import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from hotmic.errors import EngineFailed, HotmicError

START_LIMIT = 120.0
"""Seconds the daemon may take until it is ready."""


def demo(
    clip: Annotated[str, typer.Option(help="Bundled clip to speak; 'all' speaks every one.")] = "three_sentences",
) -> None:
    """Start a daemon, stream a bundled clip through its sockets in real time and show the captions."""
    console = Console()
    clips = bundled_clips()
    names = list(clips) if clip == "all" else [clip]
    if not set(names) <= set(clips):
        console.print(f"There is no clip '{clip}'. Clips: {', '.join(clips)}.")
        raise typer.Exit(2)
    try:
        heard = asyncio.run(_demo(console, [clips[name] for name in names]))
    except HotmicError as error:
        console.print(f"[red]{error.message}[/red]")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if not heard:
        console.print("[red]Nothing was heard.[/red]")
        raise typer.Exit(1)


def bundled_clips() -> dict[str, Path]:
    """Return the clips of the package by name."""
    folder = Path(str(files("hotmic") / "models" / "clips"))
    listed = json.loads((folder / "clips.json").read_text("utf-8"))
    return {name: folder / f"{name}.wav" for name in listed}


async def _demo(console: Console, clips: list[Path]) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "hotmic", "serve", "--control-port", "0", "--audio-port", "0", "--http-port", "0"),
        *("--log-level", "error"),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        console.print("Starting the daemon …")
        addresses = await _wait_until_ready(process)
        return await _speak(console, addresses, clips)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _wait_until_ready(process: asyncio.subprocess.Process) -> dict[str, str]:
    assert process.stdout is not None
    addresses: dict[str, str] = {}
    try:
        async with asyncio.timeout(START_LIMIT):
            while line := (await process.stdout.readline()).decode():
                match line.split():
                    case ["listening", name, url]:
                        addresses[name] = url
                    case ["ready"]:
                        return addresses
    except TimeoutError as error:
        raise EngineFailed(f"The daemon was not ready within {START_LIMIT:.0f} s.") from error
    raise EngineFailed("The daemon ended before it was ready; 'hotmic check' says what is wrong.")


async def _speak(console: Console, addresses: dict[str, str], clips: list[Path]) -> int:
    from hotmic_client import Client

    finals = 0
    async with Client(addresses["control"], addresses["audio"]) as client:
        greeting = client.connected
        if greeting.get("notice"):
            console.print(greeting["notice"], style="yellow")
            console.print("Phrases to try: " + "; ".join(greeting["phrases"]), style="yellow")
        for clip in clips:
            console.print(f"[dim]speaking {clip.name} in real time[/dim]")
            finals += await _caption(console, client, clip)
    console.print(
        "\nThat was the whole way: WebSocket, voice detection, model, captions. Now speak yourself:\n"
        f"  {_program()} serve          then open http://127.0.0.1:8000 and press Record"
    )
    return finals


def _program() -> str:
    """Return how this program was called, as it can be called again."""
    return sys.argv[0] if Path(sys.argv[0]).stem == "hotmic" else "hotmic"


async def _caption(console: Console, client: Any, clip: Path) -> int:
    finals = 0
    with Live(Text(""), console=console, transient=True, refresh_per_second=20) as live:
        async for event in client.transcribe_file(clip):
            if event["type"] == "realtime_transcription":
                line = Text("… ", style="dim") + Text(event["stable"]) + Text(event["unstable"], style="dim")
                live.update(line)
                if not console.is_terminal:
                    console.print(line)
            elif event["type"] == "final_transcription":
                finals += 1
                live.update(Text(""))
                console.print(Text("✔ ", style="green") + Text(event["text"], style="bold"), highlight=False)
    return finals
