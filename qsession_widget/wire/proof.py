"""How a local runtime proves that it is the one of the discovery file, before it sees the token.

After a crash its port may be anybody's. Whoever listens there is sent a random challenge, and only
who knows the token can answer it; the answer tells nothing of the token. The port is part of it,
so that another process cannot pass a challenge on to the runtime's next port.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

PATH = "/qsession/proof"
"""Below the API's prefix; takes no token, since none may be shown before."""

CHALLENGE = "challenge"
"""Name of the challenge in the query."""

HEADER = "X-QSession-Proof"
"""Header of the answer."""

_BYTES = 32
_FORM = re.compile(rf"[0-9a-f]{{{2 * _BYTES}}}")
_PURPOSE = b"qsession proof of the server"


def challenge() -> str:
    """Give a challenge that was never given before."""
    return secrets.token_hex(_BYTES)


def is_challenge(text: str) -> bool:
    """Whether a text has the form of a challenge."""
    return _FORM.fullmatch(text) is not None


def answer(token: str, given: str, port: int) -> str:
    """Give the only right answer to a challenge.

    Args:
        token: the administrator's token.
        given: the challenge.
        port: TCP port of the server on which it was asked.
    """
    asked = f"{given} {port}".encode()
    return hmac.new(token.encode(), _PURPOSE + b" " + asked, hashlib.sha256).hexdigest()


def is_right(token: str, given: str, port: int, proof: str) -> bool:
    """Whether an answer is the right one."""
    return hmac.compare_digest(answer(token, given, port).encode(), proof.encode())
