import subprocess
from pathlib import Path

import pytest

from certificates import make_certificate
from hotmic.errors import ConfigError
from hotmic.net.certificate import Certificate


def test_a_renewed_certificate_counts_once_both_files_fit(tmp_path: Path) -> None:
    make_certificate(tmp_path)
    certificate = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    context = certificate.context
    assert not certificate.look()
    make_certificate(tmp_path, "other")
    assert not certificate.look(), "it may not be whole yet"
    assert certificate.look()
    assert not certificate.look()
    assert certificate.context is context, "the ports keep it"
    old = (tmp_path / "key.pem").read_bytes()
    (tmp_path / "key.pem").write_text("nonsense")
    certificate.look()
    with pytest.raises(ConfigError, match=r"tls_key: .*key\.pem"):
        certificate.look()
    assert "key.pem" in certificate.problem
    assert not certificate.look(), "told once"
    (tmp_path / "key.pem").write_bytes(old)
    certificate.look()
    assert certificate.look()
    assert certificate.problem == ""


def test_one_file_may_hold_both(tmp_path: Path) -> None:
    make_certificate(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes((tmp_path / "cert.pem").read_bytes() + (tmp_path / "key.pem").read_bytes())
    assert not Certificate(both, None).look()


def missing(folder: Path) -> None:
    (folder / "cert.pem").unlink()


def no_key(folder: Path) -> None:
    (folder / "key.pem").unlink()


def swapped(folder: Path) -> None:
    (folder / "cert.pem").write_bytes((folder / "key.pem").read_bytes())


def garbled(folder: Path) -> None:
    (folder / "cert.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


def foreign(folder: Path) -> None:
    make_certificate(folder, key="another.pem")


def locked(folder: Path) -> None:
    key = folder / "key.pem"
    command = ["openssl", "pkey", "-in", key, "-out", folder / "locked.pem", "-aes128", "-passout", "pass:x"]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "locked.pem").replace(key)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (missing, r"tls_cert: .*cert\.pem cannot be read \(no such file"),
        (no_key, r"tls_key: .*key\.pem cannot be read"),
        (swapped, r"tls_cert: .*cert\.pem holds no PEM block 'CERTIFICATE'"),
        (garbled, r"tls_cert: .*cert\.pem cannot be used"),
        (foreign, r"tls_key: .*key\.pem is not the key of the certificate in .*cert\.pem"),
        (locked, r"tls_key: .*key\.pem is protected by a password"),
    ],
)
def test_files_that_cannot_be_used_are_named(tmp_path: Path, spoil: object, problem: str) -> None:
    make_certificate(tmp_path)
    spoil(tmp_path)  # type: ignore[operator]
    with pytest.raises(ConfigError, match=problem):
        Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
