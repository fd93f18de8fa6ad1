"""Challenge and response by which a local runtime proves its identity before it gets the token.

After a crash, any process may listen on its port. The client sends it a random challenge, which
only a process that knows the token can answer; the answer does not reveal the token. The port is
part of it, so that another process cannot forward the challenge to the runtime's next port.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

PATH = "/qsession/proof"
"""Path below the API's prefix. It takes no token, since the client must not send one before."""

CHALLENGE = "challenge"
"""Query parameter with the challenge."""

HEADER = "X-QSession-Proof"
"""Response header with the answer."""

_BYTES = 32
_FORM = re.compile(rf"[0-9a-f]{{{2 * _BYTES}}}")
_PURPOSE = b"qsession proof of the server"


def challenge() -> str:
    """Return a new random challenge."""
    return secrets.token_hex(_BYTES)


def is_challenge(text: str) -> bool:
    """Whether a string has the form of a challenge."""
    return _FORM.fullmatch(text) is not None


def answer(token: str, given: str, port: int) -> str:
    """Return the only correct answer to a challenge.

    Args:
        token: the administrator's token.
        given: the challenge.
        port: TCP port on which the server was asked.
    """
    asked = f"{given} {port}".encode()
    return hmac.new(token.encode(), _PURPOSE + b" " + asked, hashlib.sha256).hexdigest()


def is_right(token: str, given: str, port: int, proof: str) -> bool:
    """Whether an answer is correct."""
    return hmac.compare_digest(answer(token, given, port).encode(), proof.encode())
