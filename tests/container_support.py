"""Recordings in containers as browsers make them, good and bad, made with PyAV."""

import io
import random

import av
import numpy as np

from hotmic.values import SAMPLE_RATE, Samples

KINDS = {"webm": "libopus", "ogg": "libopus", "flac": "flac", "mp4": "aac"}
OPTIONS = {"mp4": {"movflags": "frag_keyframe+empty_moov+default_base_moof"}, "webm": {"live": "1"}}


def record(samples: Samples, kind: str) -> bytes:
    """Return sound in a container as it is when nobody can seek in it."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind, options=OPTIONS.get(kind, {})) as container:
        stream = container.add_stream(KINDS[kind], rate=48_000, layout="mono")
        resampler = av.AudioResampler(format=stream.codec_context.format or "s16", layout="mono", rate=48_000)
        frame = av.AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for piece in (frame, None):
            for converted in resampler.resample(piece):
                container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    return file.getvalue()


def film(kind: str) -> bytes:
    """Return pictures without sound."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind, options=OPTIONS.get(kind, {})) as container:
        stream = container.add_stream("libvpx" if kind == "webm" else "mpeg4", rate=10, width=64, height=64)
        stream.pix_fmt = "yuv420p"
        for _ in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


def bad_recordings() -> dict[str, bytes]:
    """Return what begins like a container and holds no sound that can be heard, by name."""
    rng, silence = random.Random(5), np.zeros(SAMPLE_RATE, np.int16)
    bad = {f"{kind} without sound": film(kind) for kind in ("webm", "mp4")}
    for kind in KINDS:
        good, head = record(silence, kind), {"mp4": 12, "flac": 4}.get(kind, 6)
        bad |= {
            f"{kind} header, then noise": good[:head] + rng.randbytes(60_000),
            f"{kind} header, then zeros": good[:head] + bytes(60_000),
            f"{kind} header, then text": good[:head] + b"hello world, " * 5_000,
            f"{kind} header alone": good[:head] + bytes(12),
            f"{kind} cut in its header": good[:40],
            f"{kind} backwards": good[:head] + good[:head:-1],
            f"{kind} with every other byte wrong": good[:head]
            + bytes(byte ^ 0xFF * (i % 2) for i, byte in enumerate(good[head:])),
        }
    return bad
