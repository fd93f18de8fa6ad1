"""Records real sessions for the page that replays them: `make replay`.

The sessions run on a local runtime with a virtual clock. After each second of it, the panel's
traits are taken as the panel sends them to a browser, and what has changed is stored. Ids and
dates are replaced by fixed ones, so that two recordings differ in little.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import SparsePauliOp

from qsession_widget import Estimator, QiskitRuntimeService, Sampler, Session, SessionPanel, local
from qsession_widget.monitoring.monitor import Monitor
from qsession_widget.monitoring.snapshot import LinkState
from tests.client.circuits import measured_bell as bell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qsession_widget import RuntimeJob

FILE = Path(__file__).with_name("recordings.json")

BEGIN = datetime(2026, 1, 15, 9, 0, tzinfo=UTC)
"""When each recording says that it begins."""

JOB_SECONDS = 4
_LOOK_SECONDS = 10.0
_BYTES = "$bytes"
_OWN = re.compile(r"page\d+")
_TRAITS = {"head", "jobs", "states", "reasons", "estimates", "link"}
"""What is recorded, with the pages. The page itself beats, and answers commands."""
_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{20}\b")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_NEAR_MS = 7 * 24 * 3600 * 1000

HYDROGEN = SparsePauliOp.from_list(
    [
        ("II", -1.0523732),
        ("IZ", 0.3979374),
        ("ZI", -0.3979374),
        ("ZZ", -0.0112801),
        ("XX", 0.1809312),
    ]
)
START, GROUND = (3.0, 0.0, 0.1, 0.1), (4.867, 1.797, -1.729, -1.606)
"""Angles from which a loop goes down, and those of the ground state."""
STEPS = 12


@dataclass
class Recorder:
    """Takes the traits of one session's panel, second by second.

    Args:
        folder: of the runtime, which has a virtual clock.
        session: to be recorded.
        title: of the recording.
    """

    folder: Path
    session: Session
    title: str
    frames: list[dict[str, Any]] = field(default_factory=list)
    moments: list[dict[str, Any]] = field(default_factory=list)
    _begin: datetime = field(init=False)
    _clock: datetime = field(init=False)
    _last: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._monitor = Monitor.of(self.session)
        self._panel = SessionPanel(self.session)
        # One thread writes a panel's traits; from here on it is this one.
        self._monitor.remove(self._panel)
        self._begin = self._clock = self._monitor.look_now(_LOOK_SECONDS).now
        self.look()

    def look(self) -> None:
        """Store what has changed since the last look."""
        seen = self._monitor.look_now(_LOOK_SECONDS)
        # A closed session is not asked about again.
        while seen.now < self._clock and seen.link.state is not LinkState.ENDED:
            seen = self._monitor.look_now(_LOOK_SECONDS)
        self._panel.show(seen)
        state = {
            name: _as_json(value)
            for name, value in self._panel.get_state().items()
            if name in _TRAITS or (_OWN.fullmatch(name) and value)
        }
        changed = _difference(self._last, state)
        if changed:
            at = self._seconds()
            self.frames.append({"at": at, "traits": changed})
            self._last = state

    def later(self, seconds: int) -> None:
        """Let time pass, second by second."""
        for _ in range(seconds):
            clock = local.advance_clock(1, folder=self.folder)
            self._clock = datetime.fromisoformat(clock["now"])
            self.look()

    def finish(self, job: RuntimeJob) -> None:
        """Let time pass until a job has ended, and read its result if it has one."""
        while not job.in_final_state():
            self.later(1)
        if job.done():
            job.result()
            self.look()

    def moment(self, name: str, title: str, text: str) -> None:
        """Name the present second."""
        at = self._seconds()
        self.moments.append({"id": name, "title": title, "text": text, "at": at})

    def document(self) -> dict[str, Any]:
        """Return the recording as JSON, with fixed ids and dates."""
        peek = self._panel._peek  # what a browser would be sent
        peeks = {job.job_id(): peek(job.job_id())["peek"] for job in self.session.jobs()}
        found = {
            "title": self.title,
            "begin": BEGIN.timestamp() * 1000,
            "seconds": self._seconds(),
            "moments": self.moments,
            "frames": self.frames,
            "peeks": peeks,
        }
        shift = BEGIN - self._begin
        text = json.dumps(_shifted(found, self._begin, shift))
        ids = dict.fromkeys(_ID.findall(text))
        names = {each: _fixed(each, f"{self.title} {at}") for at, each in enumerate(ids)}
        renamed: dict[str, Any] = json.loads(_ID.sub(lambda each: names[each.group()], text))
        return renamed

    def _seconds(self) -> int:
        return round((self._clock - self._begin).total_seconds())


def loop(folder: Path, service: QiskitRuntimeService) -> dict[str, Any]:
    """Record a loop, a queue, a pause, and the end."""
    session = Session(service, "fake_manila", "30m", name="VQE of H2")
    session.progress(total=STEPS + 6)
    seen = Recorder(folder, session, "A loop, a pause, and the end")
    seen.moment("opened", "Opened", "The session waits for its first job. Nothing is charged yet.")
    seen.later(8)
    ansatz = efficient_su2(2, su2_gates=["ry"], reps=1)
    estimator = Estimator(mode=session, options={"seed": 7, "default_precision": 0.02})
    for at in range(STEPS):
        share = at / (STEPS - 1)
        values = [a + share * (b - a) for a, b in zip(START, GROUND, strict=True)]
        job = estimator.run([(ansatz, HYDROGEN, values)])
        seen.later(2)
        if at == 0:
            seen.moment(
                "running", "The first job runs", "Its maximum time begins here, and never pauses."
            )
        if at == STEPS - 3:
            seen.moment(
                "loop",
                "A loop",
                "Each job needs the last one's result. The curve shows the results.",
            )
        seen.finish(job)
        seen.later(1)
    sampler = Sampler(mode=session, options={"seed": 7})
    first = sampler.run([bell()])
    hasty = Sampler(mode=session, options={"max_execution_time": 2}).run([bell()])
    queued = [sampler.run([bell()]) for _ in range(3)]
    seen.later(2)
    seen.moment("queue", "Jobs queue", "One job at a time is on the device; four wait for it.")
    seen.finish(first)
    seen.finish(hasty)
    seen.later(1)
    seen.moment(
        "stopped", "A job was stopped", "It reached its own limit of 2 s. The session goes on."
    )
    queued[-1].cancel()
    seen.look()
    for job in queued[:-1]:
        seen.finish(job)
    seen.later(4)
    seen.moment(
        "idle", "Went idle here", "No job came. It keeps the device for a minute, and that is paid."
    )
    seen.later(60)
    seen.moment("inactive", "Became inactive", "The device is free for others; nothing is charged.")
    seen.later(25)
    last = sampler.run([bell()])
    seen.later(2)
    session.close()
    seen.look()
    seen.finish(last)
    seen.later(2)
    seen.moment("closed", "Closed", "It accepted no more jobs, and has finished the last one.")
    seen.later(8)
    return seen.document()


def held(folder: Path, service: QiskitRuntimeService) -> dict[str, Any]:
    """Record a session that waits for the device that another one has."""
    other = Session(service, "fake_manila", "30m", name="tomography")
    Sampler(mode=other).run([bell()])
    local.advance_clock(JOB_SECONDS + 14, folder=folder)
    session = Session(service, "fake_manila", "30m", name="calibration")
    seen = Recorder(folder, session, "Two sessions, one device")
    seen.later(4)
    job = Sampler(mode=session, options={"seed": 7}).run([bell()])
    seen.later(6)
    seen.moment(
        "held", "Waits for another session", "Another session is idle, and still has the device."
    )
    seen.finish(job)
    seen.later(6)
    session.close()
    other.close()
    seen.look()
    seen.later(4)
    return seen.document()


def out_of_time(folder: Path, service: QiskitRuntimeService) -> dict[str, Any]:
    """Record a session whose maximum time is over before its work is done."""
    session = Session(service, "fake_manila", "30s", name="too much work")
    seen = Recorder(folder, session, "Out of time")
    sampler = Sampler(mode=session, options={"seed": 7})
    seen.later(3)
    jobs = [sampler.run([bell()]) for _ in range(11)]
    seen.finish(jobs[6])
    while jobs[-1].queued():
        seen.later(1)
    seen.later(1)
    seen.moment(
        "max-time",
        "The maximum time is over",
        "The running job finishes. Those that still waited have failed, each with the reason.",
    )
    seen.later(8)
    return seen.document()


@contextmanager
def runtime() -> Iterator[tuple[Path, QiskitRuntimeService]]:
    """Run a local runtime with a virtual clock."""
    with tempfile.TemporaryDirectory(prefix="replay-") as name:
        folder = Path(name)
        options = ("--clock", "virtual", "--min-job-seconds", str(JOB_SECONDS))
        command = (sys.executable, "-m", "qsession_widget.runtime", "--home", name, "--port", "0")
        with subprocess.Popen(  # noqa: S603 - our own command
            [*command, *options, "--policy", "dedicated"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as server:
            try:
                # It prints a line when it is ready.
                next(iter(server.stdout or ()))
                there = local.endpoint(start=False, folder=folder)
                with QiskitRuntimeService("local", there.token, there.url) as service:
                    yield folder, service
            finally:
                server.terminate()


def _as_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode()}
    return json.loads(json.dumps(value))


def _difference(old: Any, new: Any) -> Any:
    """Return what has to be merged into the old value to get the new one; {} if nothing."""
    found = {}
    for name, value in new.items():
        before = old.get(name)
        if before == value:
            continue
        mergeable = isinstance(before, dict) and isinstance(value, dict)
        if mergeable and set(before) <= set(value) and _BYTES not in value:
            found[name] = _difference(before, value)
        else:
            # In place of the old one.
            found[name] = {"$set": value} if isinstance(value, dict) else value
    return found


def _shifted(value: Any, begin: datetime, shift: timedelta) -> Any:
    """Move all times in a document: epoch milliseconds and RFC 3339."""
    if isinstance(value, dict):
        return {name: _shifted(each, begin, shift) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_shifted(each, begin, shift) for each in value]
    if isinstance(value, str):
        return _TIME.sub(lambda each: _moved(each.group(), shift), value)
    if isinstance(value, int) and abs(value - begin.timestamp() * 1000) < _NEAR_MS:
        return value + round(shift.total_seconds() * 1000)
    return value


def _moved(text: str, shift: timedelta) -> str:
    moved = datetime.fromisoformat(text) + shift
    return moved.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fixed(name: str, seed: str) -> str:
    """Return an id of the same form that is the same in each recording."""
    digits = hashlib.sha256(seed.encode()).hexdigest()
    if "-" not in name:
        return digits[:20]
    return "-".join(digits[a:b] for a, b in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)))


def main() -> None:
    """Record all sessions, and write them."""
    found = []
    for record in (loop, held, out_of_time):
        with runtime() as (folder, service):
            found.append(record(folder, service))
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    # A line for each frame, so that changes can be read.
    FILE.write_text(text.replace('{"at":', '\n{"at":') + "\n", encoding="utf-8")
    moments = sum(len(each["moments"]) for each in found)
    sys.stdout.write(f"{FILE.name}: {len(found)} sessions, {moments} moments, {len(text)} bytes\n")


if __name__ == "__main__":
    main()
