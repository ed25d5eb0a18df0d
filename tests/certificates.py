"""Certificates for tests, made by openssl."""

import shutil
import ssl
import subprocess
from pathlib import Path


def make_certificate(folder: Path, name: str = "localhost", *, key: str = "key.pem", chain: str = "cert.pem") -> None:
    """Write a self-signed certificate for a name and 127.0.0.1, and its key; into place at once each."""
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    names = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1"]
    new = folder / "new-key.pem", folder / "new-cert.pem"
    made = subprocess.run([*command, *names, "-keyout", new[0], "-out", new[1]], check=False, capture_output=True)
    assert made.returncode == 0, made.stderr
    shutil.move(new[1], folder / chain)
    shutil.move(new[0], folder / key)


def trusting(folder: Path, chain: str = "cert.pem") -> ssl.SSLContext:
    """Return what a client trusts that knows the certificate."""
    return ssl.create_default_context(cafile=str(folder / chain))
