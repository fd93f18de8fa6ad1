"""One iteration of a session, as the official client sees it: with its polls held, and without.

`python benchmarks/official_client.py` runs the same small job again and again in a session of
qiskit-ibm-runtime on a local runtime, and prints the median and the 90th percentile from
`sampler.run` to the result. The client looks for a result every tenth of a second.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from qiskit import QuantumCircuit, transpile
from qiskit_ibm_runtime import SamplerV2, Session

from qsession_widget import local
from qsession_widget.errors import ServiceUnavailableError

START_SECONDS = 60.0


def main() -> None:
    """Measure, and print one line for each setting."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--iterations", type=int, default=30)
    parser.add_argument("--job-seconds", type=float, default=0.15, help="how long a job lasts")
    options = parser.parse_args()
    warnings.simplefilter("ignore", DeprecationWarning)
    for setting in ("--no-hold-quick-polls", "--hold-quick-polls"):
        times = sorted(measure(setting, options.iterations, options.job_seconds))
        median, late = statistics.median(times), times[int(len(times) * 0.9)]
        sys.stdout.write(
            f"{setting:24} median {median * 1000:6.0f} ms, 90th percentile {late * 1000:6.0f} ms, "
            f"of which the job takes {options.job_seconds * 1000:.0f} ms\n"
        )


def measure(setting: str, iterations: int, job_seconds: float) -> list[float]:
    """Give the seconds of each iteration, on a runtime with this setting."""
    with tempfile.TemporaryDirectory(prefix="qsession-benchmark-") as folder:
        command = [sys.executable, "-m", "qsession_widget.runtime", "--home", folder, setting]
        command += ["--min-job-seconds", str(job_seconds)]
        quiet = subprocess.DEVNULL
        runtime = subprocess.Popen(command, stdout=quiet, stderr=quiet)  # noqa: S603 - ours
        try:
            return _iterate(_service(Path(folder)), iterations)
        finally:
            runtime.terminate()
            runtime.wait()


def _service(folder: Path) -> Any:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            local.endpoint(start=False, folder=folder)
        except ServiceUnavailableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return local.official_service(folder=folder)


def _iterate(service: Any, iterations: int) -> list[float]:
    backend = service.backend("fake_manila")
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    circuit = transpile(circuit, backend)
    times = []
    with Session(backend) as session:
        sampler = SamplerV2(mode=session)
        sampler.run([circuit], shots=100).result()  # the worker's imports
        for _ in range(iterations):
            began = time.perf_counter()
            sampler.run([circuit], shots=100).result()
            times.append(time.perf_counter() - began)
    return times


if __name__ == "__main__":
    main()
