"""The parts of a daemon, made as the settings say."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from hotmic import __version__
from hotmic.audio.segmenter import Cuts, Segmenter, SegmenterSettings
from hotmic.audio.vad import build_vad, segmenter_numbers
from hotmic.commands import SessionOptions
from hotmic.config.model import ModelSpec
from hotmic.config.registry import Registry
from hotmic.config.settings import Settings
from hotmic.config.weight import locate, verify
from hotmic.dialects.control_or_caption import ControlOrCaptionDialect
from hotmic.dialects.live_caption import LiveCaptionDialect
from hotmic.dialects.negotiate import DIALECTS, Dialects
from hotmic.dialects.wish import Wish
from hotmic.errors import DownloadFailed
from hotmic.metrics import Metrics
from hotmic.net.container import ContainerLimits
from hotmic.net.hub import Hub
from hotmic.net.limit import Quota
from hotmic.net.runner import Runner
from hotmic.net.security import Access, Tokens
from hotmic.net.tape import TapeFolder
from hotmic.net.throttle import Rates
from hotmic.policies.align_att import AlignAtt
from hotmic.policies.local_agreement import LocalAgreement
from hotmic.policies.policy import Policy, PolicySettings
from hotmic.scheduler.scheduler import Scheduler
from hotmic.session.planner import SessionSettings
from hotmic.session.recorder import RecordedSession
from hotmic.session.session import Session
from hotmic.session.tape import Header
from hotmic.values import SAMPLE_RATE, LoadProgress, PolicyName
from hotmic.worker.loader import Loader
from hotmic.worker.pool import LocalPool

FILE_SILENCE = 86_400.0
"""Seconds without audio that end a segment of a file: reading it may take as long as it likes."""
LEAST_THRESHOLD = 0.05
"""A VAD threshold no session goes below, nor nearer to 1."""


def build_access(settings: Settings) -> Access:
    """Return the checks of every connection.

    Raises:
        ConfigError: The tokens file cannot be used, or the daemon would be open to others without tokens.
    """
    return Access(
        host=settings.host,
        tokens=Tokens.load(settings.tokens) if settings.tokens else Tokens({}),
        allow_anonymous=settings.auth == "none",
        allowed_hosts=settings.allowed_hosts,
        allowed_origins=settings.allowed_origins,
        allow_null_origin=settings.allow_null_origin,
        allowed_addresses=settings.allowed_addresses,
        trusted_proxies=settings.trusted_proxies,
    )


def build_pool(settings: Settings, registry: Registry, *, on_change: Callable[[], None]) -> LocalPool:
    """Return the pool of local workers."""
    loader = Loader(
        device=settings.device,
        compute_type=settings.compute_type,
        threads=settings.threads,
        batch_size=settings.batch_size,
        num_workers=settings.num_workers,
        gpu_memory_fraction=settings.gpu_memory_fraction,
        fetch=_fetcher(settings),
    )
    return LocalPool(
        registry,
        loader,
        on_change=on_change,
        keep_alive=settings.keep_alive_s,
        max_chosen_models=settings.max_chosen_models,
    )


def build_tapes(settings: Settings, *, on_failure: Callable[[str], None]) -> TapeFolder | None:
    """Return where sessions are recorded, if they are.

    Raises:
        ConfigError: The folder cannot be used.
    """
    if settings.record is None:
        return None
    return TapeFolder(settings.record, max_bytes=settings.record_max_mb << 20, on_failure=on_failure)


def build_dialects(settings: Settings) -> Dialects:
    """Return how dialects are made, with the settings of those that have some."""

    def build_caption(wish: Wish) -> LiveCaptionDialect:
        chunk, least = settings.live_caption_chunk_s, settings.live_caption_min_s
        return LiveCaptionDialect(sample_rate=wish.sample_rate, chunk=chunk, least=least)

    return {
        **DIALECTS,
        "live_caption": build_caption,
        "control_or_caption": lambda wish: ControlOrCaptionDialect(build_caption(wish)),
    }


def build_runner(
    settings: Settings,
    pool: LocalPool,
    hub: Hub,
    metrics: Metrics,
    *,
    tapes: TapeFolder | None = None,
) -> Runner:
    """Return the runner of all sessions, those that are spoken recorded or not."""
    numbers = SessionSettings(
        cadence=settings.partial_cadence_ms / 1000,
        wire_silence=settings.wire_silence_ms / 1000,
        ring=settings.ring_s,
    )
    file_numbers = msgspec.structs.replace(numbers, is_file=True, partials=False, wire_silence=FILE_SILENCE)

    cuts = segmenter_settings(settings)

    def policies_of(session_id: str) -> PolicySettings:
        return policy_settings(pool.spec(runner.choices.of(session_id) or pool.current))

    def parts_of(session_id: str, channel: str, options: SessionOptions, tenant: str) -> dict[str, Any]:
        return {
            "channel": channel,
            "options": options,
            "build_segmenter": lambda wished: build_segmenter(cuts, wished),
            "build_policy": lambda name: build_policy(policies_of(session_id), name),
            "tenant": tenant,
        }

    def build_file_session(session_id: str, *about: Any) -> Session:
        return Session(session_id, settings=file_numbers, **parts_of(session_id, *about))

    def build_session(session_id: str, channel: str, options: SessionOptions, tenant: str) -> Session:
        parts = {"settings": numbers, **parts_of(session_id, channel, options, tenant)}
        if tapes is None:
            return Session(session_id, **parts)
        header = Header(
            version=__version__,
            session_id=session_id,
            channel=channel,
            settings=numbers,
            options=options,
            segmenter=cuts,
        )
        sink = tapes.open(header)
        return RecordedSession(session_id, sink=sink, policy_settings=lambda: policies_of(session_id), **parts)

    runner = Runner(
        pool=pool,
        hub=hub,
        build_scheduler=lambda: build_scheduler(settings),
        metrics=metrics,
        build_session=build_session,
        build_file_session=build_file_session,
        session_ttl=settings.session_ttl_s,
        first_number=round(time.time() * 1000),
    )
    return runner


def build_scheduler(settings: Settings) -> Scheduler:
    """Return what orders the jobs of one model."""
    return Scheduler(
        max_rows=settings.batch_size,
        cadence=settings.partial_cadence_ms / 1000,
        max_cadence=settings.partial_cadence_max_ms / 1000,
    )


def policy_settings(spec: ModelSpec | None) -> PolicySettings:
    """Return what a model says about policies."""
    if spec is None:
        return PolicySettings()
    return PolicySettings(
        policy=spec.policy, agreement_n=spec.agreement_n, attention_margin=float(spec.attention_margin_s)
    )


def build_policy(settings: PolicySettings, name: PolicyName | None) -> Policy:
    """Return the policy of a segment: the session's choice, else the model's, with the model's numbers."""
    if (name or settings.policy) == "align_att":
        return AlignAtt(settings.attention_margin)
    return LocalAgreement(settings.agreement_n)


def segmenter_settings(settings: Settings) -> SegmenterSettings:
    """Return the settings that segmenters go by."""
    return SegmenterSettings(**{name: getattr(settings, name) for name in SegmenterSettings.__struct_fields__})


def build_segmenter(settings: SegmenterSettings, cuts: Cuts) -> Segmenter:
    """Return a segmenter: the session's numbers, else the settings', but for the profile ``seed`` its own."""
    numbers = segmenter_numbers(cuts.vad)
    own = cuts.vad == "seed"

    def pick(milliseconds: int, profile_samples: int) -> int:
        return profile_samples if own else _samples(milliseconds)

    min_silence = pick(settings.min_silence_ms, numbers.min_silence)
    if cuts.min_silence_ms is not None:
        min_silence = _samples(cuts.min_silence_ms)
    pre_roll_ms = settings.pre_roll_ms if cuts.pre_roll_ms is None else cuts.pre_roll_ms
    strictness = 1.0 if cuts.vad_threshold is None else cuts.vad_threshold / 0.5
    return Segmenter(
        build_vad(cuts.vad),
        min_speech=pick(settings.min_speech_ms, numbers.min_speech),
        min_silence=min_silence,
        pre_roll=_samples(pre_roll_ms),
        hang_over=min(_samples(settings.hang_over_ms), min_silence),
        max_segment=int(settings.max_segment_s * SAMPLE_RATE),
        soft_after=None if own else int(settings.soft_segment_s * SAMPLE_RATE),
        start_gap=numbers.start_gap,
        start_threshold=_threshold(numbers.start_threshold, strictness),
        stay_threshold=_threshold(numbers.stay_threshold, strictness),
    )


def _samples(milliseconds: int) -> int:
    return milliseconds * SAMPLE_RATE // 1000


def _threshold(own: float, strictness: float) -> float:
    """Scale a threshold, and keep it where some frames are speech and some are not."""
    return min(max(own * strictness, LEAST_THRESHOLD), 1 - LEAST_THRESHOLD)


def rates(settings: Settings) -> Rates:
    """Return how fast one connection may send."""
    return Rates(
        messages=settings.max_messages_per_s,
        audio=settings.max_audio_speed,
        audio_burst=settings.audio_burst_s,
        commands=settings.max_commands_per_s,
    )


def file_limits(settings: Settings) -> ContainerLimits:
    """Return what one file may cost."""
    return ContainerLimits(max_bytes=settings.max_file_mb << 20, max_seconds=settings.max_file_s)


def file_quota(settings: Settings) -> Quota:
    """Return how many files may come at a time."""
    return Quota(
        "files",
        per_address=settings.max_files_per_address,
        per_token=settings.max_files_per_token,
        total=settings.max_files,
    )


def session_options(settings: Settings) -> SessionOptions:
    """Return what sessions start with."""
    return SessionOptions(language=settings.language, vad=settings.vad, denoise=settings.denoise)


def dialect_options(settings: Settings) -> dict[str, SessionOptions]:
    """Return what sessions of single dialects start with; a VAD that somebody chose is theirs too."""
    chosen = settings.vad if "vad" in settings.model_fields_set else None
    return {
        "plain_text": SessionOptions(sample_rate=settings.plain_text_sample_rate, vad=chosen),
        "simul": SessionOptions(beam=settings.simul_beams, policy=settings.simul_policy),
    }


def _fetcher(settings: Settings) -> Callable[[ModelSpec, Callable[[LoadProgress], None]], Awaitable[Path]]:
    """Return what finds a model's weights on disk, downloading them where the settings allow it."""

    async def fetch(spec: ModelSpec, report: Callable[[LoadProgress], None]) -> Path:
        found = await asyncio.to_thread(locate, spec, settings.models_dir)
        if found is None:
            if settings.download == "never":
                raise DownloadFailed(
                    f"The weights of '{spec.id}' are not on disk and downloads are off: run 'hotmic pull {spec.id}'."
                )
            found = await _download(spec, settings.models_dir, report)
        await asyncio.to_thread(verify, spec, found)
        return found

    return fetch


async def _download(spec: ModelSpec, models_dir: Path, report: Callable[[LoadProgress], None]) -> Path:
    from hotmic.config import hub

    loop = asyncio.get_running_loop()
    cancelled = threading.Event()

    def tell(done: int, total: int) -> None:
        share = done / total if total else 0.0
        loop.call_soon_threadsafe(
            report, LoadProgress(model_id=spec.id, stage="downloading", progress=0.9 * min(1.0, share))
        )

    try:
        return await asyncio.to_thread(hub.fetch, spec, models_dir, report=tell, should_stop=cancelled.is_set)
    finally:
        cancelled.set()
