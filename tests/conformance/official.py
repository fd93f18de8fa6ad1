"""Runs the official client's own integration tests, unmodified, against fresh local runtimes.

`python -m tests.conformance.official` downloads the source distribution of the pinned release of
qiskit-ibm-runtime, and compares the outcome of each test with `expected.toml`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import queue
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import tomllib
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from qiskit import QuantumCircuit

from qsession_widget import QiskitRuntimeService, Sampler
from qsession_widget.local import process
from qsession_widget.wire.fields import INSTANCE_CRN
from tests.conftest import running

if TYPE_CHECKING:
    from collections.abc import Iterable

PACKAGE = "qiskit-ibm-runtime"
PINNED = "0.51.0"
SHA256 = "8873224137d4eb0e2187813252bc5e84ce73dfce7f17c954d25d51c74a6b4827"
"""Of the source distribution: only reviewed tests are run."""

CACHE = Path(__file__).parents[2] / ".cache"
EXPECTED = Path(__file__).with_name("expected.toml")

# The tests need a device of at least ten qubits that takes 10,000 shots.
QPU = "fake_algiers"
QPU_OF = {
    # These measure every qubit of the device in some hundred noisy circuits.
    "test_executor_estimator.py": "fake_manila",
    "test_executor_noise_learner.py": "fake_manila",
    "test_noise_learner.py": "fake_kyiv",
    "test_noise_learner_v3.py": "fake_manila",
}
RUNTIME_OPTIONS = (
    # Some tests look for running jobs, and give up while they run.
    *("--min-job-seconds", "2"),
    *("--workers", "2"),
    # Devices that tests look for by name: one that begins with "test_eagle", a twin of the first
    # mock device, and one with fractional gates.
    *("--alias", "test_eagle=fake_manila"),
    *("--alias", "ibm_aachen=fake_aachen"),
    *("--alias", "alt_fez=fake_fractional"),
)
# 76 tests of the client's own local mode, which never reach a server and simulate for minutes.
LOCAL_TESTS = "TestFakeBackends"
# From a host's name, but not from an IP address, the client derives the URLs of all services
# as for IBM Cloud; a proxy leads them to the runtime.
HOST = "http://qsession.localdomain"
FILE_TIMEOUT_SECONDS = 900
# These first, so that none of them runs alone at the end.
SLOWEST = ("test_sampler_v2.py", "test_job.py", "test_ibm_job.py", "test_backend_serialization.py")
EARLIER_JOBS = 12
"""Some tests page through earlier jobs: the suite is written for a service in use."""


@dataclass
class Outcomes:
    """The outcome of each test, by its id; each ran once.

    Attributes:
        reasons: why a test failed or was skipped.
        broken: files that pytest could not run completely.
    """

    passed: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    reasons: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    def read(self, report: Path) -> None:
        """Add the outcomes of a JUnit report."""
        for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest wrote it for us
            name = (
                f"{case.get('classname', '').removeprefix('test.integration.')}.{case.get('name')}"
            )
            found = next(
                (each for each in case if each.tag in {"failure", "error", "skipped"}), None
            )
            if found is None:
                self.passed.add(name)
                continue
            (self.skipped if found.tag == "skipped" else self.failed).add(name)
            self.reasons[name] = found.get("message") or ""
        # A test that passes and then fails to clean up is in the report twice.
        self.passed -= self.failed


def main() -> int:
    """Run, compare and report.

    Returns:
        Exit status: 0 when everything came out as expected.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    # The tests mostly wait for jobs that are made to last.
    parser.add_argument("--workers", type=int, default=3, help="runtimes, and tests, side by side")
    parser.add_argument(
        "--everything", action="store_true", help="those as well that never reach a server"
    )
    parser.add_argument("files", nargs="*", help="only these, for example test_session.py")
    options = parser.parse_args()
    if version(PACKAGE) != PINNED:
        sys.stderr.write(f"{PACKAGE} {version(PACKAGE)} is installed; the tests are of {PINNED}.\n")
        return 2
    began = time.monotonic()
    try:
        archive = download()
    except DownloadError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="qsession-") as folder:
        suite = _unpack(archive, Path(folder) / "suite")
        found = {each.name for each in (suite / "test" / "integration").glob("test_*.py")}
        files = options.files or sorted(found, key=lambda name: (name not in SLOWEST, name))
        if unknown := set(files) - found:
            sys.stderr.write(f"No {', '.join(unknown)}; there are {', '.join(sorted(found))}.\n")
            return 2
        outcomes = _run(suite, files, Path(folder), options.workers, everything=options.everything)
    wrong = compare(outcomes, tomllib.loads(EXPECTED.read_text()), complete=not options.files)
    for line in wrong:
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"{time.monotonic() - began:.0f} s\n{summary(outcomes, wrong)}\n")
    return 1 if wrong else 0


class DownloadError(Exception):
    """The source distribution cannot be downloaded, or is not the pinned one."""


def download() -> Path:
    """Return the source distribution, from the cache or the registry.

    Raises:
        DownloadError: where pip cannot fetch it, or it is not the one that was pinned.
    """
    CACHE.mkdir(exist_ok=True)
    wanted = CACHE / f"{PACKAGE.replace('-', '_')}-{PINNED}.tar.gz"
    if not wanted.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", PACKAGE, "--dest", str(CACHE), f"{PACKAGE}=={PINNED}"]
        done = subprocess.run(command, check=False)  # noqa: S603 - ours
        if done.returncode or not wanted.exists():
            raise DownloadError(
                f"The download of {PACKAGE} {PINNED} failed: pip ended with {done.returncode}. "
                "No test was run."
            )
    found = hashlib.sha256(wanted.read_bytes()).hexdigest()
    if found != SHA256:
        wanted.unlink()
        raise DownloadError(
            f"{wanted.name} has the SHA-256 {found}, not {SHA256}; it was deleted. No test was run."
        )
    return wanted


def _unpack(archive: Path, folder: Path) -> Path:
    """Unpack the tests alone: the package beside them would hide the one that is installed."""
    with tarfile.open(archive) as packed:
        for member in packed.getmembers():
            path = member.name.partition("/")[2]
            content = packed.extractfile(member) if member.isfile() else None
            if content and (path == "pyproject.toml" or path.startswith("test/")):
                place = folder / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content.read())
    return folder


def _run(
    suite: Path, files: Iterable[str], folder: Path, workers: int, *, everything: bool
) -> Outcomes:
    outcomes, waiting = Outcomes(), queue.SimpleQueue[str]()
    for name in files:
        waiting.put(name)

    def work(index: int) -> None:
        place = folder / str(index)
        with running(place / "runtime", *RUNTIME_OPTIONS) as home:
            environment = _environment(home, place)
            _use(home)
            while True:
                try:
                    name = waiting.get_nowait()
                except queue.Empty:
                    return
                _run_file(suite, name, place, environment, outcomes, everything=everything)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(workers)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    while not waiting.empty():
        outcomes.broken[waiting.get()] = "no runtime was there to run it"
    return outcomes


def _environment(home: Path, place: Path) -> dict[str, str]:
    found = process.endpoint(start=False, folder=home)
    (place / "home").mkdir()
    return {
        # pproxy, which one file starts, is among our own programs.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(place / "home"),
        "HTTP_PROXY": found.url,
        "IAM_URL": HOST.replace("//", "//iam."),
        "QISKIT_IBM_URL": HOST,
        "QISKIT_IBM_TOKEN": found.token,
        "QISKIT_IBM_INSTANCE": INSTANCE_CRN,
    }


def _use(home: Path) -> None:
    """Run some jobs, so that the runtime has a history."""
    found = process.endpoint(start=False, folder=home)
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    with QiskitRuntimeService(channel="local", url=found.url, token=found.token) as service:
        sampler = Sampler(mode=service.backend(QPU))
        for job in [sampler.run([circuit], shots=10) for _ in range(EARLIER_JOBS)]:
            job.result()


def _run_file(
    suite: Path,
    name: str,
    place: Path,
    environment: dict[str, str],
    outcomes: Outcomes,
    *,
    everything: bool,
) -> None:
    report = place / f"{name}.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += [f"--junitxml={report}", f"test/integration/{name}"]
    if not everything:
        command += ["-k", f"not {LOCAL_TESTS}"]
    began = time.monotonic()
    try:
        done = subprocess.run(  # noqa: S603 - the suite that was pinned
            command,
            cwd=suite,
            env={**environment, "QISKIT_IBM_QPU": QPU_OF.get(name, QPU)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=FILE_TIMEOUT_SECONDS,
        )
        # 1 is for failed tests; anything else for tests that were not run at all.
        if done.returncode not in {0, 1}:
            outcomes.broken[name] = f"pytest ended with {done.returncode}: {done.stdout[-2000:]}"
            return
        outcomes.read(report)
    except (subprocess.TimeoutExpired, OSError, ET.ParseError) as error:
        outcomes.broken[name] = str(error)
        return
    last = (done.stdout.splitlines() or [done.stderr])[-1]
    sys.stdout.write(f"{name}: {last} ({time.monotonic() - began:.0f} s)\n")
    sys.stdout.flush()


def compare(
    outcomes: Outcomes, expected: dict[str, dict[str, str]], *, complete: bool
) -> list[str]:
    """Return the differences from what is expected, both ways; unnamed tests must pass.

    Args:
        outcomes: of the tests that ran.
        expected: contents of `expected.toml`.
        complete: whether all tests ran, so that each expected name must occur.
    """
    fails, skips, may_skip = (
        set(expected.get(name, {})) for name in ("failed", "skipped", "may_skip")
    )
    wrong = [f"BROKEN {name}: {why}" for name, why in sorted(outcomes.broken.items())]
    for what, names in (
        ("FAILED", outcomes.failed - fails),
        ("SKIPPED", outcomes.skipped - skips - may_skip),
    ):
        wrong += [f"{what} {name}: {outcomes.reasons[name][:300]}" for name in sorted(names)]
    outdated = (fails | skips) & outcomes.passed
    wrong += [f"PASSED {name}: take it from {EXPECTED.name}" for name in sorted(outdated)]
    if complete:
        known = outcomes.passed | outcomes.failed | outcomes.skipped
        missing = (fails | skips | may_skip) - known
        wrong += [f"MISSING {name}: take it from {EXPECTED.name}" for name in sorted(missing)]
    return wrong


def summary(outcomes: Outcomes, wrong: list[str]) -> str:
    """Return the closing line."""
    counts = (f"{len(getattr(outcomes, name))} {name}" for name in ("passed", "failed", "skipped"))
    verdict = f"{len(wrong)} not as expected" if wrong else "as expected"
    return f"{', '.join(counts)}; {verdict}"


if __name__ == "__main__":
    raise SystemExit(main())
