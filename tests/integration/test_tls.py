"""TLS on all ports: addresses, versions, a certificate that is renewed under open connections, the page."""

import asyncio
import contextlib
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from certificates import make_certificate, trusting
from reliability_support import until, write_registry
from running import RunningDaemon, calling, running_daemon

pytestmark = pytest.mark.integration


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RunningDaemon]:
    make_certificate(tmp_path)
    flags = ["--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem")]
    with running_daemon(tmp_path, "--models", write_registry(tmp_path, "echo"), *flags) as daemon:
        yield daemon


def test_every_port_speaks_tls_and_goes_on_when_the_certificate_is_renewed(
    daemon: RunningDaemon, tmp_path: Path
) -> None:
    assert [urlsplit(url).scheme for url in (daemon.control, daemon.audio, daemon.http)] == ["wss", "wss", "https"]
    before = trusting(tmp_path)
    gateway = daemon.http.replace("http", "ws", 1) + "/ws/control"
    with urllib.request.urlopen(f"{daemon.http}/health", context=before, timeout=20) as answer:
        assert answer.status == 200
    with urllib.request.urlopen(f"{daemon.http}/asyncapi.yaml", context=before, timeout=20) as answer:
        assert {server["protocol"] for server in yaml.safe_load(answer)["servers"].values()} == {"wss"}

    async def is_new() -> bool:
        try:
            async with calling(daemon.control, ssl=trusting(tmp_path)) as other:
                await other.hear("connected")
        except ssl.SSLCertVerificationError:
            return False
        return True

    async def main() -> None:
        async with calling(daemon.control, ssl=before) as old, calling(gateway, ssl=before) as page:
            async with calling(daemon.audio, ssl=before) as audio:
                await audio.say(type="ping")
                await audio.hear("pong")
            make_certificate(tmp_path, "renewed.example")
            async with asyncio.timeout(30):
                while not await is_new():
                    await asyncio.sleep(0.2)
            with pytest.raises(ssl.SSLCertVerificationError):
                async with calling(daemon.control, ssl=before):
                    pass
            (tmp_path / "key.pem").write_text("nonsense")
            await until(lambda: "the old one stays" in daemon.log.read_text())
            assert await is_new()
            for caller in (old, page):
                await caller.say(type="ping")
                await caller.hear("pong")

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_versions_and_plain_sockets_are_refused(daemon: RunningDaemon) -> None:
    for url in (daemon.control, daemon.http):
        parts = urlsplit(url)
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")

        async def shake(context: ssl.SSLContext | None, host: str = parts.hostname or "", port: int = parts.port or 0):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            async with asyncio.timeout(20):
                answer = await reader.read(100)
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()
            return answer

        with pytest.raises((ssl.SSLError, ConnectionError)):
            asyncio.run(shake(old))
        with contextlib.suppress(ConnectionError):
            assert b"HTTP/1.1" not in asyncio.run(shake(None))


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match=r"tls_cert: .*none\.pem cannot be read"),
        running_daemon(tmp_path, "--tls-cert", str(tmp_path / "none.pem")),
    ):
        pass
