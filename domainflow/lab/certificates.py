"""The lab's certificate authority and a certificate a name, made when first asked for.

EC P-256 throughout; all names share one key. The authority is kept in the home (`lab-ca.pem`, and `lab-ca.key`, which
only the owner may read): a file trusted once stays right after a restart. No socket and no HTTP here.
"""

import os
import ssl
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from domainflow.errors import Unavailable

_CA_DAYS: Final = 3650
_LEAF_DAYS: Final = 90
_SPARE_DAYS: Final = 100  # an authority with less left is replaced
_CONTEXTS: Final = 2000  # 25 KB each
_CA_NAME: Final = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "DomainFlow lab")])
_NO_NAME: Final = x509.Name([])
_WRONG_NAME: Final = "somebody-else.lab.test"


class Flaw(StrEnum):
    """What is wrong with a certificate."""

    NONE = "none"
    SELF_SIGNED = "self_signed"
    EXPIRED = "expired"
    WRONG_NAME = "wrong_name"


class Authority:
    """Signs names; at most two thousand contexts are kept."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._leaf_key_pem = self._leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.context = lru_cache(maxsize=_CONTEXTS)(self._make_context)

    def _make_context(self, name: str, flaw: Flaw) -> ssl.SSLContext:
        """A server context for `name` (a wire name in text). About 1 ms at first sight."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.num_tickets = 0  # every client comes once; a ticket costs more than it saves
        pem = self._leaf_key_pem + self._sign(name, flaw).public_bytes(Encoding.PEM)
        # ssl loads certificates from files only; this one never reaches a disk.
        descriptor = os.memfd_create("lab-certificate")
        try:
            os.write(descriptor, pem)
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
        return context

    def _sign(self, name: str, flaw: Flaw) -> x509.Certificate:
        now = datetime.now(UTC)
        ends = now + timedelta(days=-1 if flaw is Flaw.EXPIRED else _LEAF_DAYS)
        own = flaw is Flaw.SELF_SIGNED
        subject = x509.DNSName(_WRONG_NAME if flaw is Flaw.WRONG_NAME else name)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_NO_NAME)
            .issuer_name(_NO_NAME if own else self._certificate.subject)
            .public_key(self._leaf_key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(ends)
            # Critical because the subject is empty (RFC 5280, 4.2.1.6): a name may be longer than a common name.
            .add_extension(x509.SubjectAlternativeName([subject]), critical=True)
        )
        return builder.sign(self._leaf_key if own else self._key, hashes.SHA256())


def load_authority(home: Path) -> Authority:
    """The authority of this home, made and stored if there is none that will last.

    Raises Unavailable when the home cannot be written; nothing is left half-written.
    """
    certificate_file, key_file = home / "lab-ca.pem", home / "lab-ca.key"
    kept = _read(certificate_file, key_file)
    if kept is not None:
        return Authority(*kept)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _self_signed(key)
    try:
        _replace(key_file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        _replace(certificate_file, certificate.public_bytes(Encoding.PEM))
    except OSError as error:
        raise Unavailable(f"lab: cannot write {certificate_file}: {error.strerror}; give another home") from error
    certificate_file.chmod(0o644)
    return Authority(certificate, key)


def _read(certificate_file: Path, key_file: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    """What is stored, or None if it is missing, unreadable, no pair or about to expire."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        key = load_pem_private_key(key_file.read_bytes(), None)
    except (OSError, ValueError):
        return None
    lasts = certificate.not_valid_after_utc > datetime.now(UTC) + timedelta(days=_SPARE_DAYS)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key() or not lasts:
        return None
    return certificate, key


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(_CA_NAME)
        .issuer_name(_CA_NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + timedelta(days=_CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def _replace(file: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    draft = file.with_suffix(f"{file.suffix}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    draft.replace(file)
