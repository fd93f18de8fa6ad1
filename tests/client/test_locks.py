"""The client holds no lock during a request, or while it runs code of the user."""

from __future__ import annotations

import json
import re
import threading
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import qsession_widget
from qsession_widget import Estimator, QiskitRuntimeService, Sampler, Session, SessionPanel
from qsession_widget.client import service
from qsession_widget.client.kept_service import KeptService
from qsession_widget.support import forking
from qsession_widget.transport.pool import ConnectionPool
from tests.client.circuits import bell, rotated
from tests.conftest import DEADLINE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCES = Path(qsession_widget.__file__).parent
OWN = {"events.py", "forking.py", "monitor.py", "structs.py"}
"""Modules that create Python's own locks, and see to it that a forked child finds them free."""


class Watched:
    """Counts the locks that each thread holds, and records what happens under them."""

    def __init__(self) -> None:
        self.depth: defaultdict[int, int] = defaultdict(int)
        self.taken = 0
        self.wrong: list[str] = []

    def look(self, what: str) -> None:
        if self.depth[threading.get_ident()]:
            self.wrong.append(what)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    seen = Watched()
    enter, leave, ask = forking.Lock.__enter__, forking.Lock.__exit__, ConnectionPool.request

    def entered(self: forking.Lock) -> None:
        enter(self)
        if not isinstance(self, forking.Turn):
            seen.taken += 1
            seen.depth[threading.get_ident()] += 1

    def left(self: forking.Lock, *error: Any) -> None:
        if not isinstance(self, forking.Turn):
            seen.depth[threading.get_ident()] -= 1
        leave(self, *error)

    def asked(self: ConnectionPool, method: str, url: str, **rest: Any) -> Any:
        seen.look(f"{method} {url}")
        return ask(self, method, url, **rest)

    monkeypatch.setattr(forking.Lock, "__enter__", entered)
    monkeypatch.setattr(forking.Lock, "__exit__", left)
    monkeypatch.setattr(ConnectionPool, "request", asked)
    return seen


async def test_no_request_and_no_user_code_runs_under_a_lock(
    runtime: Path, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    del runtime
    monkeypatch.setattr(service, "kept_default", KeptService())
    over = threading.Event()

    class Decoder:
        @staticmethod
        def decode(text: str) -> Any:
            watched.look("a decoder")
            return json.loads(text)

    def callback(_job_id: str, _result: object) -> None:
        watched.look("a callback")
        over.set()

    session = Session(backend="fake_manila")
    panel = SessionPanel(session)
    inputs = {"pubs": [[bell(), [], 1]]}
    job = session.run("sampler", inputs, callback=callback, result_decoder=Decoder)
    job.result()
    assert over.wait(DEADLINE_SECONDS)
    await Sampler(session).run(bell())
    Estimator(session).run([(rotated(), "Z", [0.1, 0.2])]).result()
    job.update_tags(["new"])
    assert (job.estimate, job.queue_position, job.tags) == (None, None, ["new"])
    simulator = Session(backend="aer_simulator")
    Sampler(simulator).run(bell()).result()
    assert simulator.cancel_queued_jobs() == []
    # At IBM the client transpiles, for a target that has to be fetched.
    session.service._features = frozenset()
    assert QiskitRuntimeService().backend("fake_lima").target.num_qubits == 5
    assert session.jobs()
    assert session.device.properties()
    session.cancel()
    panel.close()
    assert watched.taken > 10
    assert watched.wrong == []


def test_a_result_and_new_tags_do_not_wait_for_each_other(runtime: Path) -> None:
    """Two threads, each of which changes what the other one reads."""
    del runtime
    job = Sampler("aer_simulator").run(bell(), shots=3)
    problems: list[BaseException] = []
    shots: set[int] = set()

    def repeat(work: Any) -> None:
        try:
            for number in range(25):
                work(number)
        except BaseException as error:  # noqa: BLE001 - the assertion below reports it
            problems.append(error)

    class Curious:
        @staticmethod
        def decode(text: str) -> Any:
            # A decoder may use its job.
            assert job.tags is not None
            assert job.program_id == "sampler"
            return json.loads(text)

    threads = [
        threading.Thread(target=repeat, args=(work,), daemon=True)
        for work in (
            lambda number: job.update_tags([f"t{number}"]),
            lambda number: job.result(decoder=type(f"D{number}", (Curious,), {})),
            lambda _: shots.add(job.result()[0].data.cr.num_shots),
        )
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join(DEADLINE_SECONDS)
    assert not any(each.is_alive() for each in threads)
    assert (problems, shots) == ([], {3})


def _locks() -> Iterator[tuple[str, str]]:
    for file in SOURCES.rglob("*.py"):
        if "runtime" not in file.relative_to(SOURCES).parts:
            for found in re.findall(
                r"threading\.(?:R?Lock|Condition|\w*Semaphore)\(", file.read_text()
            ):
                yield file.name, found


def test_every_lock_is_watched() -> None:
    assert {name for name, _ in _locks()} == OWN
