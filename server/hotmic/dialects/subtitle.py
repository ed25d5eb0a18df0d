"""Finals as text, subtitles or JSON."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hotmic.events import FinalTranscribed
from hotmic.policies.joining import text_of
from hotmic.values import Value, Word

MAX_SECONDS = 7.0
MAX_CHARACTERS = 84
"""A cue holds what two lines of 42 characters hold, for as long as a viewer reads them."""


class Cue(Value, frozen=True, kw_only=True):
    """Text on screen from ``start`` to ``end`` seconds."""

    start: float
    end: float
    text: str


def cues(finals: Iterable[FinalTranscribed]) -> list[Cue]:
    """Cut finals into cues at word borders; a final without word times stays whole."""
    found: list[Cue] = []
    for final in finals:
        if not final.words:
            found.append(Cue(start=final.start, end=final.end, text=final.text))
            continue
        line: list[Word] = []
        for word in final.words:
            grown = text_of([*line, word])
            if line and (len(grown) > MAX_CHARACTERS or word.end - line[0].start > MAX_SECONDS):
                found.append(_cue(line))
                line = []
            line.append(word)
        found.append(_cue(line))
    return found


def to_text(finals: Sequence[FinalTranscribed]) -> str:
    """Return one line per final."""
    return "".join(f"{final.text}\n" for final in finals)


def to_srt(finals: Sequence[FinalTranscribed]) -> str:
    """Return SubRip subtitles."""
    blocks = [
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{_line(cue.text)}\n"
        for number, cue in enumerate(cues(finals), 1)
    ]
    return "\n".join(blocks)


def to_vtt(finals: Sequence[FinalTranscribed]) -> str:
    """Return WebVTT subtitles (W3C WebVTT; ``&`` and ``<`` are escaped)."""
    blocks = ["WEBVTT\n"]
    for cue in cues(finals):
        text = _line(cue.text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        blocks.append(f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{text}\n")
    return "\n".join(blocks)


def to_json(finals: Sequence[FinalTranscribed]) -> str:
    """Return segments with words and times."""
    segments: list[dict[str, Any]] = [
        {
            "start": round(final.start, 3),
            "end": round(final.end, 3),
            "text": final.text,
            "language": final.language,
            "words": [
                {
                    "word": word.word.strip(),
                    "start": round(word.start, 3),
                    "end": round(word.end, 3),
                    "probability": round(word.probability, 3),
                }
                for word in final.words
            ],
        }
        for final in finals
    ]
    model = finals[0].model_id if finals else None
    whole = {"model": model, "text": " ".join(final.text for final in finals), "segments": segments}
    return json.dumps(whole, ensure_ascii=False, indent=2) + "\n"


FORMATS: dict[str, Callable[[Sequence[FinalTranscribed]], str]] = {
    "txt": to_text,
    "srt": to_srt,
    "vtt": to_vtt,
    "json": to_json,
}


def _cue(words: Sequence[Word]) -> Cue:
    return Cue(start=words[0].start, end=words[-1].end, text=text_of(words))


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _line(text: str) -> str:
    return " ".join(text.split()).replace("-->", "->")
