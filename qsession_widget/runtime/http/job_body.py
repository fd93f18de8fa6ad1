"""Reads the body of a new job: its `params` as text, what is counted in them, and the rest.

A body of many megabytes is read in a process of its own (`python -m` this module). A JSON parser
holds the GIL, so a thread would block all other requests. Some bodies take many times their size
when they are read; a limit of that process ends them without harm to the server.
"""

from __future__ import annotations

import contextlib
import logging
import resource
import subprocess
import sys
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from qsession_widget.runtime import bounds, pieces
from qsession_widget.runtime.http.requested_shots import (
    Lists,
    OneLevel,
    PassedThrough,
    PostProcessor,
    Program,
    RequestedShots,
    Scalar,
    requested,
)
from qsession_widget.support import structs
from qsession_widget.wire.fields import CLASSIFIED, EXECUTOR, role_of

T = TypeVar("T")

log = logging.getLogger(__name__)

READING_BYTES = 128 * 2**20
"""Memory that the process which reads a body may take besides the body itself."""

READING_SECONDS = 30
"""Processor time that it may take."""


class RefusedError(Exception):
    """A body that is refused.

    Attributes:
        message: what is wrong with it.
        solution: what is allowed.
    """

    def __init__(self, message: str, solution: str = "") -> None:
        super().__init__(message, solution)
        self.message, self.solution = message, solution


class Body(msgspec.Struct):
    """What a body says.

    Attributes:
        rest: of the job, without its `params`.
        start: place in the body at which `params`, or an equal text, begins.
        size: bytes of `params`.
        pubs: how many there are, None for a program that has none.
        requested: shots that they ask for, as far as that can be seen.
        role: what a quantum program stands for, by a word of `ROLES`; None if it does not say.
    """

    rest: dict[str, Any]
    start: int
    size: int
    pubs: int | None
    requested: list[RequestedShots]
    role: str | None = None


_ANSWER: Any = Body | list[str]
"""What the process that reads a body writes: what it says, or why it is refused."""


def read(raw: bytes | bytearray, max_circuits: int) -> Body:
    """Read a body in this process.

    Raises:
        RefusedError: for one that is not a job.
    """
    members = decode(raw, dict[str, Raw])
    params = members.pop("params", Raw())
    text = memoryview(params)
    if bytes(text[:1]) != b"{":
        raise RefusedError("params is missing or not an object.", "Send the pubs in it.")
    beside, most = len(raw) - len(text), bounds.TAGS_BODY_BYTES
    if beside > most:
        raise RefusedError(
            f"The body has {beside} bytes beside params; this runtime takes {most}.",
            "Send what the job computes with in params.",
        )
    lists = decode(params, Lists)
    # What is skipped was not looked at.
    try:
        pieces.check_utf8(pieces.cut(text))
    except UnicodeDecodeError as error:
        raise RefusedError(f"The body cannot be read as JSON: {error}") from error
    program = lists.quantum_program
    for name, found in (
        ("pubs", lists.pubs),
        ("circuits", lists.circuits),
        ("items", program.items if isinstance(program, Program) else None),
    ):
        if isinstance(found, list) and len(found) > max_circuits:
            raise RefusedError(
                f"The job has {len(found)} {name}; this runtime takes {max_circuits}.",
                "Send them in several jobs.",
            )
    rest = {name: decode(value, Any) for name, value in members.items()}
    program_id = rest.get("program_id")
    _refuse_other_data(program_id, lists)
    role = role_of(program_id, program.semantic_role) if isinstance(program, Program) else None
    pubs = lists.pubs if role is None else _pubs_of(program)
    return Body(
        rest,
        start=raw.find(text),
        size=len(text),
        pubs=len(pubs) if isinstance(pubs, list) else None,
        requested=requested(program_id, lists),
        role=role,
    )


def _pubs_of(program: Program | list[Raw] | Scalar) -> OneLevel:
    """Return a list with an element for each pub of which a primitive made a quantum program."""
    match program:
        case Program(passthrough_data=PassedThrough(post_processor=PostProcessor() as given)):
            return given.circuits_metadata
    return None


def read_elsewhere(raw: bytes | bytearray, max_circuits: int) -> Body:
    """Read a body in a process of its own, and wait for that. For threads.

    Raises:
        RefusedError: for one that is not a job, or takes too much memory or time to read.
    """
    # -P: the current folder is not ours.
    command = [sys.executable, "-P", "-m", __name__, str(max_circuits)]
    try:
        started = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
    except OSError:
        # Reading it here is slow, but works where no more processes can be started.
        log.exception("a body of %d bytes is read in the server itself", len(raw))
        return read(raw, max_circuits)
    with started as child:
        if child.stdin is None or child.stdout is None:
            raise AssertionError  # as asked for above
        # It reads everything before it writes, and may die while it reads.
        with contextlib.suppress(BrokenPipeError), child.stdin as given:
            left = memoryview(raw)
            while left:
                left = left[given.write(left) :]
        answer = child.stdout.read()
    if child.returncode or not answer:
        raise RefusedError(
            f"The body of {len(raw)} bytes takes too much memory or time to read.",
            "Send fewer and larger parts, or several jobs.",
        )
    found: Body | list[str] = structs.decode(answer, _ANSWER)
    if isinstance(found, list):
        raise RefusedError(*found)
    return found


def decode(raw: bytes | bytearray | Raw, form: type[T]) -> T:
    """Read JSON.

    Raises:
        RefusedError: for a body that is not JSON, or has another form.
    """
    try:
        return structs.decode(raw, form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError(f"The body cannot be read as JSON: {error}") from error


class _Execution(msgspec.Struct):
    """Of a sampler's options."""

    meas_type: OneLevel = None


def _refuse_other_data(program_id: Any, lists: Lists) -> None:
    """Refuse a job that asks for data other than bits: pulses are not simulated."""
    program, options = lists.quantum_program, lists.options
    wanted: OneLevel = None
    name = "options.execution.meas_type"
    if program_id == EXECUTOR and isinstance(program, Program):
        name, wanted = "quantum_program.meas_level", program.meas_level
    elif program_id == "sampler" and isinstance(options, dict):
        execution = options.get("execution")
        if execution is not None and bytes(execution).startswith(b"{"):
            wanted = decode(execution, _Execution).meas_type
    if wanted not in (None, CLASSIFIED):
        shown = "no text" if isinstance(wanted, (list, dict)) else f"{wanted!r:.80}"
        raise RefusedError(
            f"{name} is {shown}.", f"This runtime gives {CLASSIFIED!r} results only."
        )


def main(max_circuits: int) -> None:
    """Read the body that comes on standard input, and write what it says, or why it is refused."""
    raw = sys.stdin.buffer.read()
    _limit(resource.RLIMIT_CPU, READING_SECONDS)
    _limit(resource.RLIMIT_DATA, len(raw) + READING_BYTES)
    try:
        found: Body | list[str] = read(raw, max_circuits)
    except RefusedError as error:
        found = [error.message, error.solution]
    sys.stdout.buffer.write(msgspec.json.encode(found))


def _limit(kind: int, most: int) -> None:
    """Lower a resource limit to a value, unless it is lower already."""
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    # macOS does not take every limit.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(kind, (most, hard))


if __name__ == "__main__":
    main(int(sys.argv[1]))
