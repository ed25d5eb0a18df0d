"""Download weights from the model hub.

What a repository holds comes from ``huggingface_hub``; the bytes are streamed here, because its downloads neither
continue a file after a failure nor stop on request. Everything blocking runs on a thread of its own while ``fetch``
watches it, so that neither a name server nor a stalled connection can hang the caller.

Environment: ``HF_ENDPOINT`` and ``HF_TOKEN`` as everywhere; ``HOTMIC_OFFLINE=1`` or ``HF_HUB_OFFLINE=1`` forbids it.
"""

import errno
import hashlib
import math
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import structlog

from hotmic.config import weight
from hotmic.config.model import HubRepository, ModelSpec
from hotmic.config.weight import HubFile, Manifest
from hotmic.errors import ConfigError, DownloadFailed

ReportBytes = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""

_SPARE_BYTES = 64 << 20

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Patience:
    """How long to wait for the hub, in seconds."""

    answer: float = 8.0
    """Until the first byte of a download; bounds the whole wait when the hub cannot be reached."""
    quiet: float = 30.0
    """Between two bytes later on."""
    pause: float = 1.0
    """Between two attempts."""


def is_offline(environment: Mapping[str, str] | None = None) -> bool:
    """Return whether the environment forbids downloads."""
    values = os.environ if environment is None else environment
    names = ("HOTMIC_OFFLINE", "HF_HUB_OFFLINE")
    return any(values.get(name, "").strip().lower() in ("1", "true", "yes", "on") for name in names)


def fetch(
    spec: ModelSpec,
    models_dir: Path,
    *,
    report: ReportBytes = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
    endpoint: str | None = None,
    patience: Patience | None = None,
) -> Path:
    """Download what lacks of a model and return its directory. Blocks; call it on a thread in asyncio programs.

    What has come stays on disk when it fails or is stopped, and the next call continues there. Every file is compared
    with the hub's checksum, the main one also with the ``sha256`` of models.yaml.

    Args:
        spec: The model; one that is on disk returns at once.
        models_dir: Where weights are kept.
        report: Called on this thread, about ten times a second and at the end.
        should_stop: Asked about ten times a second.
        endpoint: Address of the hub; by default ``HF_ENDPOINT`` or the library's own.
        patience: How long to wait for the hub.

    Raises:
        DownloadFailed: Offline, unreachable, unknown repository or revision, no space, wrong checksum, stopped; the
            message is one sentence that says what to do.
    """
    if (found := weight.locate(spec, models_dir)) is not None:
        return found
    if not isinstance(spec.source, HubRepository):
        raise DownloadFailed(f"The files of {spec.id} lack on this machine, and it does not come from a hub.")
    if is_offline():
        raise DownloadFailed(
            f"{spec.id} is not on this machine and downloads are off (HOTMIC_OFFLINE or HF_HUB_OFFLINE is set)."
        )
    endpoint = endpoint or os.environ.get("HF_ENDPOINT") or None
    download = _Download(spec, spec.source, models_dir, endpoint, patience or Patience())
    download.watch(report, should_stop)
    return download.directory


class _Download:
    """One download, run on its own thread and watched from the caller's."""

    def __init__(
        self, spec: ModelSpec, source: HubRepository, models_dir: Path, endpoint: str | None, patience: Patience
    ) -> None:
        self.directory = models_dir
        self._spec = spec
        self._source = source
        self._models_dir = models_dir
        self._endpoint = endpoint
        self._patience = patience
        self._done = 0
        self._most = 0
        self._total = 0
        self._heard = time.monotonic()
        self._limit = patience.answer
        self._status = 200
        self._stopped = False
        self._error: DownloadFailed | None = None

    def watch(self, report: ReportBytes, should_stop: Callable[[], bool]) -> None:
        # The imports take a second or two on a cold disk, which is not the hub's fault.
        import httpx  # noqa: F401
        import huggingface_hub.hf_api  # noqa: F401

        self._heard = time.monotonic()
        thread = threading.Thread(target=self._run, name=f"download-{self._spec.id}", daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                thread.join(0.1)
                if self._total:
                    report(self._done, self._total)
                if thread.is_alive() and should_stop():
                    raise DownloadFailed(f"The download of {self._spec.id} was stopped; what has come is kept.")
                if thread.is_alive() and time.monotonic() - self._heard > self._limit:
                    raise self._silence()
        finally:
            # Whatever ends the wait, Ctrl-C included, ends the thread at its next byte or time-out.
            self._stopped = True
        if self._error is not None:
            raise self._error
        report(self._total, self._total)

    def _run(self) -> None:
        try:
            self._download_all()
        except DownloadFailed as error:
            self._error = error
        except OSError as error:
            self._error = self._disk_error(error)
        except ConfigError as error:
            self._error = DownloadFailed(error.message)
        except Exception as error:  # noqa: BLE001
            # The last line of a thread: without it the caller would take the failure for a success.
            _log.exception("download failed unexpectedly", model_id=self._spec.id)
            self._error = DownloadFailed(f"The download of {self._spec.id} failed unexpectedly; the log says more.")
            self._error.__cause__ = error

    def _download_all(self) -> None:
        import filelock

        manifest = self._plan()
        root = weight.repository_dir(self._source.repository, self._models_dir)
        directory = root / manifest.commit
        directory.mkdir(parents=True, exist_ok=True)
        try:
            with filelock.FileLock(root / "download.lock", timeout=0):
                _write(directory / weight.MANIFEST, manifest)
                lacking = self._lacking(manifest, directory)
                total = sum(file.size for file in manifest.files)
                self._done = self._most = total - sum(file.size - _part_size(directory, file) for file in lacking)
                self._total = total
                self._check_space(directory, lacking)
                for file in lacking:
                    self._download_file(file, manifest, directory)
                self._limit = math.inf
                weight.verify(self._spec, directory)
                reference = weight.reference_path(self._source, self._models_dir)
                reference.parent.mkdir(exist_ok=True)
                _write(reference, weight.Reference(commit=manifest.commit))
        except filelock.Timeout as error:
            raise DownloadFailed(f"Another download of {self._spec.id} is under way.") from error
        self.directory = directory

    def _plan(self) -> Manifest:
        """Ask the hub what there is and choose from it."""
        commit, files = self._list(self._source)
        kind = self._spec.type
        chosen = {name: files[name] for name in weight.wanted_names(files, kind)}
        lender = self._spec.tokenizer
        if lender and not {"tokenizer.json", "preprocessor_config.json"} <= chosen.keys():
            lent_commit, lent = self._list(lender)
            for name in weight.lent_names(lent, kind):
                if name not in chosen:
                    chosen[name] = msgspec.structs.replace(lent[name], repository=lender.repository, commit=lent_commit)
        if lacking := weight.missing_names(chosen, kind):
            form = "CTranslate2" if kind == "faster_whisper" else "safetensors"
            raise DownloadFailed(
                f"{self._source.repository} is no complete {form} model, it lacks {', '.join(lacking)}."
            )
        return Manifest(
            repository=self._source.repository,
            revision=self._source.revision,
            commit=commit,
            files=tuple(chosen.values()),
        )

    def _list(self, source: HubRepository) -> tuple[str, dict[str, HubFile]]:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        name = source.repository
        try:
            info = HfApi(endpoint=self._endpoint).model_info(
                name, revision=source.revision, files_metadata=True, timeout=self._patience.answer
            )
        except GatedRepoError as error:
            raise DownloadFailed(f"{name} is gated: accept its terms on the hub, then set HF_TOKEN.") from error
        except RepositoryNotFoundError as error:
            raise DownloadFailed(
                f"The hub has no repository {name}, or it is private and HF_TOKEN does not open it."
            ) from error
        except RevisionNotFoundError as error:
            raise DownloadFailed(f"{name} has no revision {source.revision!r}.") from error
        except HfHubHTTPError as error:
            status = getattr(error.response, "status_code", "no")
            raise DownloadFailed(f"The hub answered with status {status} when asked for {name}.") from error
        except ValueError as error:
            raise DownloadFailed(
                "What answered is not a model hub; check HF_ENDPOINT and the network's sign-in page."
            ) from error
        except Exception as error:
            # The library's network errors belong to whichever HTTP client its version uses.
            _log.warning("hub unreachable", repository=name, error=repr(error))
            raise self._unreachable() from error
        self._heard = time.monotonic()
        return _parse_listing(name, info)

    def _lacking(self, manifest: Manifest, directory: Path) -> list[HubFile]:
        names = weight.missing_files(directory, self._spec.type)
        return [file for file in manifest.files if file.name in names]

    def _check_space(self, directory: Path, lacking: list[HubFile]) -> None:
        needed = sum(file.size - _part_size(directory, file) for file in lacking) + _SPARE_BYTES
        free = shutil.disk_usage(directory).free
        if free < needed:
            raise DownloadFailed(
                f"{self._spec.id} needs {needed / 1e9:.1f} GB more, {self._models_dir} has {free / 1e9:.1f} GB free; "
                "make room or set models_dir to another disk."
            )

    def _download_file(self, file: HubFile, manifest: Manifest, directory: Path) -> None:
        """Stream one file, again and again from where it broke off, until the patience ends."""
        import httpx
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        repository, commit = file.repository or manifest.repository, file.commit or manifest.commit
        url = hf_hub_url(repository, file.name, revision=commit, endpoint=self._endpoint)
        headers = {**build_hf_headers(library_name="hotmic"), "Accept-Encoding": "identity"}
        part = _part_path(directory, file)
        # Half the patience: a stalled connection is given up in time to try another one.
        timeout = httpx.Timeout(self._patience.answer, read=self._patience.quiet / 2)
        with httpx.Client(follow_redirects=True, timeout=timeout, headers=headers) as client:
            while (size := _part_size(directory, file)) < file.size:
                try:
                    self._continue(client, url, part, size, file)
                except httpx.HTTPError as error:
                    # The watcher decides when it has been quiet for too long.
                    _log.info("download interrupted", file=file.name, error=repr(error))
                    self._pause()
        if file.size == 0:
            part.touch()
        self._check_sum(file, part)
        part.replace(directory / file.name)

    def _continue(self, client: Any, url: str, part: Path, size: int, file: HubFile) -> None:
        import httpx

        with client.stream("GET", url, headers={"Range": f"bytes={size}-"} if size else {}) as response:
            self._status = status = response.status_code
            if status in (401, 403):
                raise DownloadFailed(f"The hub does not hand out {file.name} of {self._spec.id}; set HF_TOKEN.")
            if status in (404, 410):
                raise DownloadFailed(f"The hub no longer has {file.name} of {self._spec.id}.")
            if status == 416:
                raise self._bad_file(file, part, "is shorter than the hub said")
            if status not in (200, 206):
                raise httpx.HTTPError(f"status {status}")
            start = size if response.headers.get("Content-Range", "").startswith(f"bytes {size}-") else 0
            with part.open("r+b" if part.exists() else "wb") as stream:
                stream.seek(start)
                stream.truncate()
                self._done += start - size
                for chunk in response.iter_bytes():
                    if self._stopped:
                        raise DownloadFailed("stopped")
                    stream.write(chunk)
                    self._count(len(chunk))
                    if stream.tell() > file.size:
                        raise self._bad_file(file, part, "is longer than the hub said")
                short = stream.tell() < file.size
        # A broken connection raises above; an answer that ends in order and too early will never be longer.
        if short:
            raise self._bad_file(file, part, "is shorter than the hub said")

    def _count(self, size: int) -> None:
        self._done += size
        # Bytes that come a second time are no progress: a connection that always breaks must not go on for ever.
        if self._done > self._most:
            self._most = self._done
            self._heard = time.monotonic()
            self._limit = self._patience.quiet

    def _pause(self) -> None:
        until = time.monotonic() + self._patience.pause
        while time.monotonic() < until and not self._stopped:
            time.sleep(min(0.05, self._patience.pause))
        if self._stopped:
            raise DownloadFailed("stopped")

    def _check_sum(self, file: HubFile, part: Path) -> None:
        # A large file takes a while to read; that is not the hub being quiet.
        self._limit = math.inf
        with part.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size != file.size:
                right = False
            elif file.sha256:
                right = hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256
            elif file.git_sha1:
                digest = hashlib.sha1(b"blob %d\0" % file.size + stream.read(), usedforsecurity=False)
                right = digest.hexdigest() == file.git_sha1
            else:
                right = True
        self._heard = time.monotonic()
        self._limit = self._patience.quiet
        if not right:
            raise self._bad_file(file, part, "does not have the checksum the hub states")

    def _bad_file(self, file: HubFile, part: Path, problem: str) -> DownloadFailed:
        part.unlink(missing_ok=True)
        return DownloadFailed(f"{file.name} of {self._spec.id} {problem}; it was deleted, try again.")

    def _silence(self) -> DownloadFailed:
        if self._status >= 400:
            return DownloadFailed(
                f"The hub answers with status {self._status}; what has come is kept, try again later."
            )
        if self._limit == self._patience.quiet:
            return DownloadFailed(
                f"The download of {self._spec.id} stalled: nothing came for {self._patience.quiet:g} s. "
                "What has come is kept, try again."
            )
        return self._unreachable()

    def _unreachable(self) -> DownloadFailed:
        return DownloadFailed(
            f"{self._spec.id} is not on this machine and the hub cannot be reached; check the network, the proxy and "
            "HF_ENDPOINT, or copy its files into a directory of models.yaml."
        )

    def _disk_error(self, error: OSError) -> DownloadFailed:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            failed = DownloadFailed(f"The disk of {self._models_dir} is full; make room, what has come is kept.")
        else:
            reason = (error.strerror or type(error).__name__).lower()
            failed = DownloadFailed(
                f"{self._models_dir} cannot be written ({reason}); set models_dir to another place."
            )
        failed.__cause__ = error
        return failed


def _parse_listing(repository: str, info: Any) -> tuple[str, dict[str, HubFile]]:
    if not re.fullmatch(r"[0-9a-f]{40}", str(info.sha)):
        raise DownloadFailed(f"The hub does not say which commit of {repository} it has.")
    files = {}
    for sibling in info.siblings or []:
        if sibling.size is not None:
            sha256 = sibling.lfs.sha256 if sibling.lfs else ""
            files[sibling.rfilename] = HubFile(
                name=sibling.rfilename,
                size=sibling.size,
                sha256=sha256,
                git_sha1="" if sha256 else sibling.blob_id or "",
            )
    return str(info.sha), files


def _part_path(directory: Path, file: HubFile) -> Path:
    # Named after the checksum: a part of another version is never continued.
    return directory / f"{file.name}.{(file.sha256 or file.git_sha1)[:12]}.part"


def _part_size(directory: Path, file: HubFile) -> int:
    try:
        return _part_path(directory, file).stat().st_size
    except FileNotFoundError:
        return 0


def _write(path: Path, value: Manifest | weight.Reference) -> None:
    """Write a file so that it is there as a whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(msgspec.json.encode(value))
    fresh.replace(path)
