"""Certificates of an authority of the tests' own, in files."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


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

    def issue_to(self, folder: Path, *names: x509.GeneralName, name: str = "client") -> tuple[Path, Path]:
        """Likewise, to alternative names of any kind."""
        signer = self._authority.private_key_pem.bytes()
        key = ec.generate_private_key(ec.SECP256R1())
        authority = x509.load_pem_x509_certificate(self._authority.cert_pem.bytes())
        made = (
            x509.CertificateBuilder(issuer_name=authority.subject, subject_name=x509.Name([]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(PAST)
            .not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .sign(load_pem_private_key(signer, None), SHA256())  # type: ignore[arg-type]  # it is one that signs
        )
        certificate_file, key_file = folder / f"{name}.crt", folder / f"{name}.key"
        certificate_file.write_bytes(made.public_bytes(Encoding.PEM))
        key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate_file, key_file

    def client(self, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
        """How a client trusts it, and perhaps who that client is."""
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        if certificate:
            context.load_cert_chain(certificate, key)
        return context


PAST = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
