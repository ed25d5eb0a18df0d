"""TLS on the daemon's own ports, with a certificate that may be renewed while it runs."""

import ssl
from pathlib import Path

from hotmic.config.edit import EditedFile
from hotmic.errors import ConfigError


class Certificate:
    """A certificate and its key.

    Args:
        chain: PEM file of the certificate and those that vouch for it.
        key: PEM file of the private key, without a password; ``None`` where it stands in the same file.

    Raises:
        ConfigError: One of them cannot be used; names the file.
    """

    def __init__(self, chain: Path, key: Path | None) -> None:
        self._chain, self._key = chain, key or chain
        self.context = self._load(chain)
        """What all ports use; new handshakes show the newest certificate, open connections go on."""
        self._files = [EditedFile(path, self.context, self._load) for path in dict.fromkeys((chain, self._key))]
        self.problem = ""
        """Why the newest files were not taken; empty when they were."""

    def look(self) -> bool:
        """Take files that were edited, and return whether there were some; call it about once a second.

        Raises:
            ConfigError: They cannot be used; the certificate of before stays.
        """
        changes = [file.changed() for file in self._files]
        if not any(change is not None for change in changes):
            return False
        try:
            # Tried on another context first: one that takes the certificate and then not the key serves nobody.
            self._load(self._chain)
            self._fill(self.context)
        except ConfigError as error:
            self.problem = error.message
            raise
        self.problem = ""
        return True

    def _load(self, _: Path) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._fill(context)
        return context

    def _fill(self, context: ssl.SSLContext) -> None:
        for setting, path, mark in (("tls_cert", self._chain, b"CERTIFICATE"), ("tls_key", self._key, b"PRIVATE KEY")):
            try:
                data = path.read_bytes()
            except OSError as error:
                reason = (error.strerror or type(error).__name__).lower()
                raise _wrong(setting, path, f"cannot be read ({reason})") from error
            if mark not in data:
                raise _wrong(setting, path, f"holds no PEM block '{mark.decode()}'")
            if b"ENCRYPTED" in data:
                raise _wrong(setting, path, "is protected by a password; decrypt it with: openssl pkey")
        try:
            context.load_cert_chain(self._chain, self._key)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise _wrong("tls_key", self._key, f"is not the key of the certificate in {self._chain}") from error
            raise _wrong(
                "tls_cert", self._chain, f"cannot be used with {self._key} (OpenSSL: {error.reason})"
            ) from error


def _wrong(setting: str, path: Path, problem: str) -> ConfigError:
    return ConfigError(f"{setting}: {path} {problem}.", key=setting, value=str(path), file=str(path))
