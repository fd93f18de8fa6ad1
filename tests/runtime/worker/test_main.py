"""The loop of a worker process."""

from __future__ import annotations

from qsession_widget.runtime import bounds
from qsession_widget.runtime.worker import main


def test_interim_results_are_kept_up_to_their_bound() -> None:
    sent: list[str] = []
    tell = main.Showing(sent.append)
    for size in (bounds.INTERIM_CHARACTERS - 1, 1, 1, 0):
        tell("x" * size)
    # What was left out would be in the middle of what comes after it: nothing comes after it.
    assert [len(each) for each in sent] == [bounds.INTERIM_CHARACTERS - 1, 1]
