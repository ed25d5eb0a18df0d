"""nginx before a daemon of a test, with the shipped nginx.conf or blocks of another one."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from running import RunningDaemon

ROOT = Path(__file__).parents[1]
HOST = "captions.example.org"
KINDS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
"""What nginx keeps in files meanwhile."""


def free_ports(count: int) -> list[int]:
    """Return ports that are free now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(s.getsockname()[1]) for s in sockets]
    for one in sockets:
        one.close()
    return ports


@contextmanager
def nginx_before(daemon: RunningDaemon, folder: Path, **directives: str) -> Iterator[int]:
    """Run the shipped nginx.conf with this test's ports and paths; yield the TLS port.

    Args:
        daemon: What stands behind it.
        folder: For its files.
        directives: What directives say in place of what is shipped.
    """
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert nginx, "nginx is not installed"
    plain, tls = free_ports(2)
    key, certificate = folder / "privkey.pem", folder / "fullchain.pem"
    made = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    names = ("-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}")
    subprocess.run([*made, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    places = "".join(f"{kind}_temp_path {folder / kind};" for kind in KINDS)
    swaps = {
        "127.0.0.1:8765": urlsplit(daemon.control).netloc,
        "127.0.0.1:8766": urlsplit(daemon.audio).netloc,
        "127.0.0.1:8000": urlsplit(daemon.http).netloc,
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ssl;": f"listen 127.0.0.1:{tls} ssl;",
        f"/etc/ssl/{HOST}": str(folder),
        "/run/nginx.pid": str(folder / "nginx.pid"),
        "/var/log/nginx": str(folder),
        "\nhttp {": f"\nhttp {{ {places}",
    }
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for old, new in swaps.items():
        assert old in text, f"nginx.conf does not say {old!r}"
        text = text.replace(old, new)
    for name, value in directives.items():
        text, count = re.subn(rf"\b{name} [^;]+;", f"{name} {value};", text)
        assert count, f"nginx.conf does not say {name}"
    if os.geteuid() == 0:
        text = f"user root;\n{text}"
    (folder / "nginx.conf").write_text(text)
    with running_nginx(nginx, folder, tls):
        yield tls


@contextmanager
def nginx_with(blocks: str, folder: Path, port: int) -> Iterator[None]:
    """Run nginx with blocks of its ``http``, where they say that it listens on a port."""
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert nginx, "nginx is not installed"
    places = "".join(f"{kind}_temp_path {folder / kind};" for kind in KINDS)
    frame = f"pid {folder / 'nginx.pid'};\nevents {{}}\nhttp {{\naccess_log off;\n{places}\n{blocks}}}\n"
    (folder / "nginx.conf").write_text(f"user root;\n{frame}" if os.geteuid() == 0 else frame)
    with running_nginx(nginx, folder, port):
        yield


@contextmanager
def running_nginx(nginx: str, folder: Path, port: int) -> Iterator[None]:
    """Run nginx with the nginx.conf of a folder, until the end; a port tells that it serves."""
    command = [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "start.log")]
    process = subprocess.Popen([*command, "-g", "daemon off;"])
    try:
        wait_for(port, process, folder / "start.log")
        yield
    finally:
        process.terminate()
        process.wait(10)


def wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until a port is open."""
    deadline = time.monotonic() + 10
    while True:
        assert process.poll() is None, log.read_text()
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return
        except OSError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
