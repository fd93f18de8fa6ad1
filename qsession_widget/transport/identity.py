"""Makes the local runtime prove its identity before anything is sent to it.

Each new connection begins with a challenge (`wire.proof`). If the answer is wrong or missing, the
connection counts as one that could not be made: nothing was sent, and the request may be sent again
once the runtime's present address is known.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from qsession_widget.wire import proof
from qsession_widget.wire.fields import API_PREFIX

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

DEADLINE_SECONDS = 5.0
"""For the whole answer: a listener that sends it bit by bit must not delay the client."""

_MOST_BYTES = 16_384
_END_OF_HEAD = b"\r\n\r\n"
_SCHEME = "Bearer "


def token_in(headers: Mapping[str, str | bytes]) -> str:
    """Return the token that a request is about to show; empty if it has none."""
    given = {name.lower(): value for name, value in headers.items()}.get("authorization", "")
    # Headers in requests are text, or bytes if they were set as bytes.
    text = given.decode() if isinstance(given, bytes) else given
    return text.removeprefix(_SCHEME)


def demand(connected: socket.socket, host: str, port: int, token: str) -> None:
    """Ask for the proof on a connection on which nothing was sent yet.

    Raises:
        OSError: if the connection breaks, or the answer does not arrive in time.
        ValueError: if the answer is wrong.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    timeout = connected.gettimeout()
    challenge = proof.challenge()
    where = f"{API_PREFIX}{proof.PATH}?{proof.CHALLENGE}={challenge}"
    connected.settimeout(DEADLINE_SECONDS)
    connected.sendall(f"GET {where} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    received = bytearray()
    while _END_OF_HEAD not in received:
        left = deadline - time.monotonic()
        if left <= 0 or len(received) > _MOST_BYTES:
            raise ValueError("it answers too slowly, or too much")
        connected.settimeout(left)
        chunk = connected.recv(_MOST_BYTES)
        if not chunk:
            raise ValueError("it closed the connection")
        received += chunk
    connected.settimeout(timeout)
    head, _, rest = bytes(received).partition(_END_OF_HEAD)
    status, *lines = head.split(b"\r\n")
    given = ""
    for line in lines:
        name, _, value = line.partition(b":")
        if name.strip().lower() == proof.HEADER.lower().encode():
            with suppress(UnicodeDecodeError):
                given = value.strip().decode("ascii")
    # 204 has no body: bytes after it would not belong to this answer.
    if not status.startswith(b"HTTP/1.1 204") or rest:
        raise ValueError("it does not know the proof")
    if not proof.is_right(token, challenge, port, given):
        raise ValueError("its proof is wrong")
