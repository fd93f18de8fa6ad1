"""Fingerprints by which people compare certificates."""

from __future__ import annotations

import hashlib
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


_END = "-----END CERTIFICATE-----"


def sha256_fingerprint(certificate: Path) -> str:
    """Return the SHA-256 fingerprint of a certificate, as browsers and openssl write it.

    Args:
        certificate: a file in PEM; of a chain, its first certificate counts.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds no certificate.
    """
    text = certificate.read_text("utf-8", "replace")
    begin = text.find("-----BEGIN CERTIFICATE-----")
    end = text.find(_END, begin)
    if begin < 0 or end < 0:
        raise ValueError(f"{certificate} holds no certificate in PEM")
    der = ssl.PEM_cert_to_DER_cert(text[begin : end + len(_END)])
    digest = hashlib.sha256(der).hexdigest().upper()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))
