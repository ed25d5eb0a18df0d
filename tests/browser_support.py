"""Chromium with a microphone that plays a clip."""

import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from running import CLIPS, RunningDaemon

FLAGS = (
    "headless=new,no-sandbox,disable-gpu,disable-quic,no-first-run,disable-background-networking,"
    "disable-component-update,disable-sync,use-fake-device-for-media-stream,use-fake-ui-for-media-stream"
)


@contextmanager
def listening_page(daemon: RunningDaemon, folder: Path, clip: str) -> Iterator[Page]:
    """Open a page of the daemon whose scripts find the daemon's control port at ws://localhost:8765."""
    microphone = f"--use-file-for-fake-audio-capture={between_silences(clip, folder)}%noloop"
    rules = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    flags = [*(f"--{flag}" for flag in FLAGS.split(",")), rules, microphone]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        try:
            page = browser.new_page()
            page.add_init_script(
                f"""const Usual = window.WebSocket;
                window.WebSocket = class extends Usual {{
                    constructor(url) {{ super(url.replace("ws://localhost:8765", "{daemon.control}")); }}
                }};"""
            )
            page.goto(daemon.http)
            yield page
        finally:
            browser.close()


def between_silences(clip: str, folder: Path) -> Path:
    """Return a copy of a clip between silences: a browser may miss the first 70 ms of its microphone."""
    with wave.open(str(CLIPS / f"{clip}.wav")) as file:
        parameters, frames = file.getparams(), file.readframes(file.getnframes())
    path = folder / f"{clip}.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams(parameters)
        file.writeframes(bytes(parameters.framerate) + frames + bytes(4 * parameters.framerate))
    return path
