"""The words for states, the same in every view: one table.

IBM's API has a state ("inactive") and the client a status ("Pending"), which is the same for a
session that has never begun and for one that has gone idle. Views show one of six words instead.
`js/src/view/ui/words.ts` is the same table for the browser.
"""

from __future__ import annotations

from qsession_widget.wire.states import JobState, Mode, SessionState

SIMULATOR = "Simulator"
UNKNOWN = "Not known yet"
WAITING = "Waiting"
RUNNING = "Running"
IDLE = "Idle"
IDLE_PAID = "Idle (paid)"
INACTIVE = "Inactive"
CLOSING = "Closing"
CLOSED = "Closed"


JOBS = {
    JobState.QUEUED: "Queued",
    JobState.RUNNING: "Running",
    JobState.COMPLETED: "Done",
    JobState.FAILED: "Failed",
    JobState.CANCELLED: "Cancelled",
}
"""The word for each state of a job."""


def job_word(state: str) -> str:
    """Return the word for a job's state; an unknown state is returned as it is."""
    return next((word for name, word in JOBS.items() if name == state), state)


def state_word(
    state: str | None, *, accepting_jobs: bool | None, mode: str | None, busy: bool
) -> str:
    """Return the word for a state.

    Args:
        state: `state` of the session's JSON, None while it is not known.
        accepting_jobs: `accepting_jobs` of the same; None is not known.
        mode: `mode` of the same.
        busy: whether one of its jobs is queued or runs.
    """
    idle = IDLE if mode == Mode.BATCH else IDLE_PAID
    words = {
        SessionState.OPEN: WAITING,
        SessionState.ACTIVE: RUNNING if busy else idle,
        SessionState.PENDING_INACTIVE: RUNNING,
        SessionState.INACTIVE: INACTIVE,
        SessionState.PENDING_CLOSED: CLOSING,
        SessionState.CLOSED: CLOSED,
    }
    if state is None:
        return UNKNOWN
    if accepting_jobs is False and state != SessionState.CLOSED:
        return CLOSING
    return next((word for name, word in words.items() if name == state), state.capitalize())


def api_words(state: str | None, status: str | None) -> str:
    """Return how the API and the client call a state, to be shown on demand."""
    words = [] if state is None else [f'state "{state}"']
    return ", ".join([*words, *([] if status is None else [f'status "{status}"'])])
