"""Invalid seeds are refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from qsession_widget.runtime.worker.outcome import RejectedError
from tests.runtime.worker.jobs import IDEAL, bell, ghz, run, sample


@pytest.mark.parametrize("seed", [-1, 1.5, True, "five", 2**63])
def test_invalid_seeds_are_refused(seed: Any) -> None:
    with pytest.raises(RejectedError, match=r"seed_simulator is .*whole number"):
        sample(IDEAL, [ghz()], seed=seed)
    with pytest.raises(RejectedError, match=r"seed_estimator is .*whole number"):
        run("estimator", IDEAL, [bell(), {"ZZ": 1.0}], seed_estimator=seed)
