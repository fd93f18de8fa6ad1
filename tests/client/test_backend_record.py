"""A backend's JSON that also acts as an object of qiskit-ibm-runtime."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from qsession_widget.client.backends.backend_record import Record


class Made:
    def __init__(self, values: dict[str, Any]) -> None:
        values["changed"] = True
        self.dt = values["dt"] * 1e-9


def test_entries_are_json_and_attributes_come_from_the_object() -> None:
    record = Record({"dt": 2.0}, Made)
    assert (record["dt"], record.dt) == (2.0, 2e-9)
    assert record == {"dt": 2.0}, "the object is built from a copy"
    with pytest.raises(AttributeError, match="'Record' object has no attribute '_of_python'"):
        _ = record._of_python


def test_copies_share_one_object() -> None:
    record = Record({"dt": 2.0}, Made)
    copied = copy.copy(record)
    assert copied.official() is record.official()
    for other in (copy.deepcopy(record), pickle.loads(pickle.dumps(record))):  # noqa: S301 - ours
        assert other == record
        assert other.official() is not record.official()
