"""The summary of a quantum program's result, if the program stands for a Sampler or an Estimator.

The official client reads such a result after the job, and here it is read in the same way.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from qiskit.primitives import BitArray

from qsession_widget.runtime.worker import official_package
from qsession_widget.wire.fields import EXECUTOR, role_of
from qsession_widget.wire.results import outcomes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from qsession_widget.wire.results.summary import Summary

log = logging.getLogger(__name__)

_FLIPS = "measurement_flips."
"""Before the name of a register: which of its bits were flipped on purpose."""

_MOST_BYTES = 2**24
"""Of arrays; a bit takes one. Larger results are not read: their job would be waited for longer."""

_DECODERS = "qiskit_ibm_runtime.decoders"


def of_program(
    semantic_role: object, data: Sequence[Mapping[str, NDArray[Any]]], text: str
) -> Summary | None:
    """Return the summary of a result; None if its program has no role that is known.

    Args:
        semantic_role: of the program.
        data: for each item, the arrays of its result by name.
        text: the encoded result.
    """
    role = role_of(EXECUTOR, semantic_role)
    if not data or sum(array.nbytes for item in data for array in item.values()) > _MOST_BYTES:
        return None
    try:
        if role == "sampler":
            return _of_shots(data[0])
        return _of_values(text) if role == "estimator" else None
    except Exception:
        # A program may claim any role, and its result is good without a summary.
        log.debug("the result of a program has no summary", exc_info=True)
        return None


def _of_shots(item: Mapping[str, NDArray[Any]]) -> Summary | None:
    """Return the most frequent outcomes of the first register."""
    name = next((each for each in item if not each.startswith(_FLIPS)), None)
    if name is None:
        return None
    bits, flips = item[name], item.get(f"{_FLIPS}{name}")
    packed = BitArray.from_bool_array(bits if flips is None else bits ^ flips, order="little")
    return outcomes.of_shots(packed.array, packed.num_bits)


def _of_values(text: str) -> Summary | None:
    """Return the value of the first pub, with the mitigation that the program was made for."""
    executor = official_package.load(f"{_DECODERS}.executor.decoder")
    estimator = official_package.load(f"{_DECODERS}.executor_estimator.decoder")
    decoded = executor.ExecutorResultDecoder.decode(text)
    return outcomes.summary_of(estimator.ClientSideEstimatorDecoder.decode(decoded))
