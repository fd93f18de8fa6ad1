"""The word for the state of a session in a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qsession_widget.panel.experiment import throughput
from qsession_widget.wire import state_words
from qsession_widget.wire.documents import known
from qsession_widget.wire.states import JobState

if TYPE_CHECKING:
    from qsession_widget.monitoring.snapshot import Snapshot


def word(snapshot: Snapshot) -> str:
    """Return the word for a session's state.

    A loop of short jobs runs, also at a moment between two of them.
    """
    if snapshot.simulator:
        return state_words.SIMULATOR
    unfinished = snapshot.count(JobState.RUNNING) + snapshot.count(JobState.QUEUED)
    busy = unfinished > 0 or throughput(snapshot) is not None
    return state_words.state_word(
        known(snapshot.session.state),
        accepting_jobs=known(snapshot.session.accepting_jobs),
        mode=known(snapshot.session.mode),
        busy=busy,
    )
