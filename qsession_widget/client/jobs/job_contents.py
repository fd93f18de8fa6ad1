"""What jobs contain, in few words: the number of their pubs, and what a quantum program stands for.

Only the local runtime sends this with a job. Elsewhere it is known of jobs that this process has
sent, or whose inputs it has read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from qsession_widget.support import forking
from qsession_widget.wire.fields import role_of

_MOST_KEPT = 10_000
"""A runtime admits no more unfinished jobs than that."""


class Contents(NamedTuple):
    """What a job contains.

    Attributes:
        pubs: how many there are; None if that is not known, or for a program without pubs.
        role: what its quantum program stands for, such as "estimator"; None likewise.
    """

    pubs: int | None = None
    role: str | None = None


def contents_of(program_id: str, params: Mapping[str, object]) -> Contents:
    """Return what the inputs of a job say.

    Args:
        program_id: the program, such as "executor".
        params: its inputs, encoded or not.
    """
    program = params.get("quantum_program")
    if not isinstance(program, Mapping):
        return Contents(_length(params.get("pubs")))
    role = role_of(program_id, program.get("semantic_role"))
    given = post_processing(program).get("circuits_metadata") if role else None
    return Contents(_length(given), role)


def post_processing(program: Mapping[str, object]) -> Mapping[str, object]:
    """Return what a primitive of the official client has left in a quantum program for itself."""
    passed = program.get("passthrough_data")
    found = passed.get("post_processor") if isinstance(passed, Mapping) else None
    return found if isinstance(found, Mapping) else {}


class KnownContents:
    """The contents of the jobs that this process knows of. Threads may share it."""

    def __init__(self) -> None:
        self._lock = forking.Lock()
        self._kept: dict[str, Contents] = {}

    def note(self, job_id: str, contents: Contents) -> None:
        """Keep what a job contains, if that is anything."""
        if contents == Contents():
            return
        with self._lock:
            self._kept[job_id] = contents
            if len(self._kept) > _MOST_KEPT:
                self._kept.pop(next(iter(self._kept)))

    def get(self, job_id: str) -> Contents:
        """Return what a job contains, as far as that is known."""
        return self._kept.get(job_id, Contents())


def _length(found: object) -> int | None:
    return len(found) if isinstance(found, list | tuple) else None
