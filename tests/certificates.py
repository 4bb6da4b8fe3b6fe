"""Certificates of an authority of the tests' own, in files."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import trustme


class Authority:
    """It signs certificates of the exporter and of clients, and knows what both have to trust."""

    def __init__(self) -> None:
        self._authority = trustme.CA()

    def write(self, path: Path) -> Path:
        """Its own certificate."""
        path.write_bytes(self._authority.cert_pem.bytes())
        return path

    def issue(self, folder: Path, *names: str, name: str = "tls", ends: datetime | None = None) -> tuple[Path, Path]:
        """A certificate and its key, written over what was there."""
        made = self._authority.issue_cert(*names, not_after=ends) if ends else self._authority.issue_cert(*names)
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        key.write_bytes(made.private_key_pem.bytes())
        return certificate, key

    def client(self, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
        """How a client trusts it, and perhaps who that client is."""
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        if certificate:
            context.load_cert_chain(certificate, key)
        return context


PAST = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
