"""A model hub on loopback: the part of the real one's HTTP interface that downloads use, with faults on request."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LARGE = (".bin", ".safetensors")


@dataclass
class FakeHub:
    """What the hub holds and how it misbehaves; change it while it runs.

    Args:
        repositories: File contents by name, by ``owner/name``.
    """

    repositories: dict[str, dict[str, bytes]]
    revisions: tuple[str, ...] = ("main",)
    commit: str = "a" * 40
    gated: bool = False
    page: bool = False
    """Answer everything with an HTML page, as a hotel's sign-in does."""
    break_after: int = 0
    """Close the connection after so many bytes of a file, for the next ``breaks`` requests."""
    breaks: int = 0
    ignores_range: bool = False
    short_by: int = 0
    corrupt: bool = False
    status: int = 0
    """Answer file requests with this status."""
    stall: threading.Event | None = None
    """Hold answers (or the rest of a file when ``break_after`` is set) until this is set."""
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and Range of every request."""
    tokens: list[str] = field(default_factory=list)
    endpoint: str = ""

    @contextmanager
    def running(self) -> Iterator["FakeHub"]:
        """Serve on a free port until the block ends."""
        server = _Server(("127.0.0.1", 0), type("Bound", (_Answer,), {"hub": self}))
        self.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            if self.stall:
                self.stall.set()
            server.shutdown()
            server.server_close()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that hang up are what the tests are about."""


class _Answer(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path, self.headers.get("Range", "")))
        self.hub.tokens.append(self.headers.get("Authorization", ""))
        if self.hub.page:
            self._send(200, b"<html>please sign in</html>")
        elif path.startswith("/api/models/"):
            self._list(path.removeprefix("/api/models/"))
        else:
            self._resolve(path.lstrip("/"))

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, b'{"error": "no"}', {"X-Error-Code": code, "X-Error-Message": "no"})

    def _list(self, rest: str) -> None:
        hub = self.hub
        if hub.stall and not hub.break_after:
            hub.stall.wait()
        name, _, revision = rest.partition("/revision/")
        if name not in hub.repositories:
            return self._refuse(404, "RepoNotFound")
        if hub.gated:
            return self._refuse(403, "GatedRepo")
        if revision not in (*hub.revisions, hub.commit):
            return self._refuse(404, "RevisionNotFound")
        siblings = []
        for file, content in hub.repositories[name].items():
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            entry: dict[str, object] = {"rfilename": file, "size": len(content), "blobId": blob}
            if file.endswith(LARGE):
                digest = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
            siblings.append(entry)
        body = {"id": name, "sha": hub.commit, "siblings": siblings, "private": False, "downloads": 0, "likes": 0}
        return self._send(200, json.dumps(body | {"tags": []}).encode(), {"Content-Type": "application/json"})

    def _resolve(self, path: str) -> None:
        hub = self.hub
        owner, name, _, commit, file = path.split("/", 4)
        content = hub.repositories.get(f"{owner}/{name}", {}).get(file)
        if content is None or commit != hub.commit:
            return self._refuse(404, "EntryNotFound")
        if hub.status:
            return self._refuse(hub.status, "")
        if hub.corrupt:
            content = bytes([content[0] ^ 1]) + content[1:]
        content = content[: len(content) - hub.short_by]
        start = 0
        if self.headers.get("Range") and not hub.ignores_range:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": hub.commit}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        if not hub.break_after or not hub.breaks or len(body) <= hub.break_after:
            return self._send(206 if start else 200, body, headers)
        hub.breaks -= 1
        self.send_response(206 if start else 200)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body[: hub.break_after])
        self.wfile.flush()
        if hub.stall:
            hub.stall.wait()
        self.close_connection = True
        return None


def whisper_files(size: int = 300_000) -> dict[str, bytes]:
    """Return the files of a CTranslate2 repository with so large a model, and some that are not wanted."""
    return {
        "model.bin": bytes(range(251)) * (size // 251),
        "config.json": b"{}",
        "tokenizer.json": b'{"t": 1}',
        "vocabulary.json": b"[]",
        "README.md": b"# read me",
        "pytorch_model.bin": b"a pickle",
    }
