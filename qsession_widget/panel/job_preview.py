"""Previews one job: its result, its options, and the line of code that fetches the result.

The browser asks for it when the user opens a job in the panel. The answer is small, whatever the
job contains.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.primitives import BitArray

from qsession_widget.client.jobs.job_contents import contents_of
from qsession_widget.client.jobs.result_decoder import decode
from qsession_widget.panel import quantum_program
from qsession_widget.wire.documents import JobStateDocument, UsageDocument, known
from qsession_widget.wire.states import JobState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from qsession_widget.client.jobs.job import RuntimeJob

MOST_PUBS = 4
MOST_ROWS = 16
MOST_OPTIONS = 24
LONGEST_LABEL = 40
LONGEST_TEXT = 2000
_LARGEST_INPUTS = 2**20
_LARGEST_RESULT = 8 * 2**20
_LARGEST_DRAWN = 2**17
"""Characters of inputs that are decoded for the drawing of a circuit."""
_MOST_DRAWN_QUBITS, _MOST_DRAWN_DEPTH = 8, 30


def peek(job: RuntimeJob) -> dict[str, Any]:
    """Return a preview of a job.

    Returns:
        A JSON object of at most a few kB:

        * job_id, and code: the line that fetches the result.
        * reason: why it failed or was cancelled, otherwise None.
        * tags, and usage: seconds on the device, None if not known.
        * pubs: how many it has, None if the service does not return its inputs.
        * options: list of [name, value].
        * notes: what is left out, and why.
        * circuit: of its first pub, an object with `name`, `qubits`, `depth`, `two_qubit` gates,
          and `drawing` as text; None if it is large or not returned, and so is the drawing.
        * results: of its first pubs, a list of objects with `pub`, `name`, and `more`, how many
          rows are left out; and either `counts`, a list of [bits, count] of `shots`, largest
          first, or `values`, a list of [index, value, standard error or None].

    Raises:
        QSessionError: the service does not answer, or its answer cannot be read.
    """
    state = job.document.state or JobStateDocument()
    usage = job.document.usage or UsageDocument()
    notes: list[str] = []
    pubs, options, circuit = _inputs(job, notes)
    pubs = job.service.contents.get(job.job_id()).pubs if pubs is None else pubs
    results = _results(job, notes) if state.status == JobState.COMPLETED else []
    return {
        "job_id": job.job_id(),
        "code": f"service.job({job.job_id()!r}).result()",
        "reason": _short(known(state.reason), LONGEST_TEXT),
        "tags": [_short(tag, LONGEST_LABEL) for tag in job.tags[:MOST_ROWS]],
        "usage": known(usage.qpu_charge_time_seconds) if usage.status == "complete" else None,
        "pubs": pubs,
        "options": options,
        "notes": notes,
        "results": results,
        "circuit": circuit,
    }


Inputs = tuple[int | None, list[list[str]], dict[str, Any] | None]


def _inputs(job: RuntimeJob, notes: list[str]) -> Inputs:
    """Return the number of pubs, the options, and the first circuit if decoding it takes little."""
    text = job.service.api.short_inputs(job.job_id(), _LARGEST_INPUTS)
    if text is None:
        notes.append("Its inputs are large, so its options are not fetched.")
        return None, [], None
    params = json.loads(text).get("params") or {}
    contents = contents_of(job.program_id, params)
    job.service.contents.note(job.job_id(), contents)
    draws = len(text) <= _LARGEST_DRAWN
    program = params.get("quantum_program")
    if isinstance(program, dict):
        facts = quantum_program.facts(job.program_id, program, params.get("options"))
        found = quantum_program.first_circuit(program) if draws else None
    else:
        facts = params.get("options") or {}
        found = _first_circuit(text) if draws and contents.pubs else None
    options = list(_flat(facts))[:MOST_OPTIONS]
    return contents.pubs, options, None if found is None else _circuit(found)


def _first_circuit(text: str) -> QuantumCircuit | None:
    pub = decode(text)["params"]["pubs"][0]
    circuit = pub[0] if isinstance(pub, list | tuple) else getattr(pub, "circuit", None)
    return circuit if isinstance(circuit, QuantumCircuit) else None


def _circuit(circuit: QuantumCircuit) -> dict[str, Any]:
    """Return what there is to say of a job's first circuit, and its drawing if it is small."""
    depth = circuit.depth()
    small = circuit.num_qubits <= _MOST_DRAWN_QUBITS and depth <= _MOST_DRAWN_DEPTH
    return {
        "name": _short(circuit.name, LONGEST_LABEL),
        "qubits": circuit.num_qubits,
        "depth": depth,
        "two_qubit": circuit.num_nonlocal_gates(),
        "drawing": str(circuit.draw("text", fold=-1, idle_wires=False)) if small else None,
    }


def _flat(options: Mapping[str, Any], prefix: str = "") -> Iterator[list[str]]:
    for name, value in options.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield [str(_short(prefix + name, LONGEST_LABEL)), str(_short(value, LONGEST_LABEL))]


def _results(job: RuntimeJob, notes: list[str]) -> list[dict[str, Any]]:
    if job.private:
        notes.append("It is private: its result is given once, so it is not fetched here.")
        return []
    text = job.service.api.short_results(job.job_id(), _LARGEST_RESULT)
    if text is None:
        notes.append("Its result is large, so it is not fetched here.")
    found: list[dict[str, Any]] = []
    result = job.decode(text) if text else []
    job.service.summaries.note(job.document, result)
    for number, data in enumerate(quantum_program.parts_of(result)[:MOST_PUBS]):
        for name, value in list(data.items())[:MOST_PUBS]:
            place = {"pub": number, "name": _short(name, LONGEST_LABEL)}
            if isinstance(value, BitArray):
                found.append(place | _counts(value))
            elif isinstance(value, quantum_program.Rates):
                found.append(place | _rates(value))
            elif name == "evs":
                found.append(place | _values(value, data.get("stds")))
    return found


def _counts(bits: BitArray) -> dict[str, Any]:
    counts = sorted(bits.get_counts().items(), key=lambda item: (-item[1], item[0]))
    return {
        "shots": sum(count for _, count in counts),
        "counts": [[_short(label, LONGEST_LABEL), count] for label, count in counts[:MOST_ROWS]],
        "more": max(len(counts) - MOST_ROWS, 0),
    }


def _values(values: Any, errors: Any) -> dict[str, Any]:
    flat = np.asarray(values, dtype=float)
    spread = None if errors is None else np.asarray(errors, dtype=float)
    rows = [
        [
            ", ".join(map(str, at)),
            _number(flat[at]),
            None if spread is None or spread.shape != flat.shape else _number(spread[at]),
        ]
        for at in list(np.ndindex(flat.shape))[:MOST_ROWS]
    ]
    return {"values": rows, "more": max(flat.size - MOST_ROWS, 0)}


def _rates(rates: quantum_program.Rates) -> dict[str, Any]:
    largest = sorted(zip(rates.labels, rates.values, strict=True), key=lambda each: -each[1])
    rows = [
        [_short(label, LONGEST_LABEL), _number(value), None] for label, value in largest[:MOST_ROWS]
    ]
    return {"values": rows, "more": max(len(largest) - MOST_ROWS, 0)}


def _number(value: Any) -> float | None:
    """Return a number that JSON can represent; None for others."""
    return float(value) if np.isfinite(value) else None


def _short(value: object, longest: int) -> str | None:
    if value is None:
        return None
    text = str(value)
    return text if len(text) <= longest else f"{text[: longest - 1]}\N{HORIZONTAL ELLIPSIS}"
