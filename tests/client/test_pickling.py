"""Each public object is copied, pickled, forked, shared by threads, and alive at exit."""

from __future__ import annotations

import copy
import inspect
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import qsession_widget
from qsession_widget import InvalidInputError, QiskitRuntimeService, Sampler, Session
from qsession_widget.client.backends.backend import Backend, BackendStatus
from qsession_widget.client.backends.backend_record import Record
from qsession_widget.client.jobs.job import Estimate
from qsession_widget.support import forking
from qsession_widget.transport import accounts
from qsession_widget.wire.discovery import Discovery
from tests.client.circuits import bell
from tests.client.one_of_each import FUNCTIONS, KINDS, errors, make_all
from tests.conftest import DEADLINE_SECONDS, eventually, gone, use

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/one:two::"
TOKEN = "a-t0ken-that-must-not-be-in-any-pickle-of-ours"


@pytest.fixture(scope="module")
def all_of_them(runtime_home: Path) -> Iterator[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        use(runtime_home, patch)
        made = make_all()
        yield made
        made["Session"].cancel()
        made["Batch"].cancel()


def test_every_public_name_is_covered() -> None:
    classes = {
        name
        for name in qsession_widget.__all__
        if inspect.isclass(getattr(qsession_widget, name))
        and not issubclass(getattr(qsession_widget, name), Exception)
    }
    given = {each.__name__ for each in (Backend, BackendStatus, Estimate, Record)}
    assert classes | given == set(KINDS)
    functions = {
        name
        for name in qsession_widget.__all__
        if inspect.isfunction(getattr(qsession_widget, name))
    }
    assert functions == FUNCTIONS


@pytest.mark.parametrize("name", KINDS)
def test_copies(name: str, all_of_them: dict[str, Any]) -> None:
    one, kind = all_of_them[name], KINDS[name]
    shallow, deep = copy.copy(one), copy.deepcopy(one)
    inside = copy.deepcopy({"handle": [one]})["handle"][0]
    for made in (shallow, deep, inside):
        assert type(made) is type(one)
        assert (made is one) is kind.shared
        assert kind.use(made) == kind.use(one)


@pytest.mark.parametrize("name", KINDS)
def test_pickles(name: str, all_of_them: dict[str, Any], runtime: Path) -> None:
    one, kind = all_of_them[name], KINDS[name]
    found = Discovery.read(runtime)
    assert found is not None
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        text = pickle.dumps(one, protocol)
        assert found.token.encode() not in text
        again = pickle.loads(text)  # noqa: S301 - our own
        assert kind.use(again) == kind.use(one)


@pytest.mark.parametrize("name", KINDS)
def test_threads(name: str, all_of_them: dict[str, Any]) -> None:
    one, kind = all_of_them[name], KINDS[name]
    expected = kind.use(one)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: kind.use(one), range(8))) == [expected] * 8


def in_child(work: Callable[[], Any]) -> Any:
    """Run a function in a forked child, and return its result."""
    return forked(work)()


def forked(work: Callable[[], Any]) -> Callable[[], Any]:
    """Run a function in a forked child, and return a function that waits for its result."""
    context = multiprocessing.get_context("fork")
    mine, other = context.Pipe()

    def run() -> None:
        try:
            other.send((True, work()))
        except BaseException as error:  # noqa: BLE001 - the parent raises it
            other.send((False, repr(error)))

    child = context.Process(target=run)
    with warnings.catch_warnings():
        # Python 3.12 warns of every fork beside threads.
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    other.close()

    def wait() -> Any:
        try:
            assert mine.poll(DEADLINE_SECONDS), "the child hangs"
            right, found = mine.recv()
            assert right, found
            child.join(DEADLINE_SECONDS)
            assert child.exitcode == 0
            return found
        finally:
            child.kill()

    return wait


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("name", KINDS)
def test_forks(name: str, all_of_them: dict[str, Any]) -> None:
    one, kind = all_of_them[name], KINDS[name]
    expected = kind.use(one)
    assert in_child(lambda: kind.use(one)) == expected
    assert kind.use(one) == expected, "the parent's connections are still its own"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_children_and_parent_get_their_own_results(runtime: Path) -> None:
    del runtime
    session = Session(backend="aer_simulator")
    sampler = Sampler(session)
    sampler.run([bell()], shots=1).result()

    def shots(first: int) -> list[int]:
        counts = range(first, first + 8)
        found = [sampler.run([bell()], shots=count).result()[0] for count in counts]
        return [pub.data.cr.num_shots - first for pub in found]

    children = [forked(partial(shots, first)) for first in (100, 200, 300)]
    own = shots(400)
    found = [child() for child in children]
    assert [own, *found] == [list(range(8))] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_finds_every_lock_open(all_of_them: dict[str, Any]) -> None:
    """Whatever the parent's threads held at the moment of the fork."""
    locks = [each for each in list(forking._known) if isinstance(each, forking.Lock)]
    assert len(locks) > 10
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        for each in locks:
            each._lock.acquire()
        held.set()
        let_go.wait()
        for each in locks:
            each._lock.release()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    session = all_of_them["Session"]
    try:
        found = in_child(lambda: [not each._lock.locked() for each in locks])
        assert all(found)
        assert in_child(session.status)
    finally:
        let_go.set()
        thread.join()


def test_errors_can_be_pickled() -> None:
    """Through pickle and a pool of processes, with notes and attributes."""
    found = errors()
    assert len(found) > 15
    for kind in found:
        wanted = inspect.signature(kind.__init__).parameters
        known = {
            "status_code": 409,
            "code": 1217,
            "job_id": "j1",
            "candidates": ("j1", "j2"),
            "host": "login03",
        }
        named = {name: value for name, value in known.items() if name in wanted}
        error = kind("why", **named)
        error.add_note("and more")
        for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):  # noqa: S301 - our own
            assert (type(again), str(again), again.args) == (kind, "why", ("why",))
            assert vars(again) == {**named, "__notes__": ["and more"]}


def _fails(number: int) -> None:
    raise qsession_widget.JobFailedError(f"number {number}", job_id=f"j{number}")


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_pool_raises_our_errors(method: str) -> None:
    with multiprocessing.get_context(method).Pool(1) as pool:
        waiting = pool.map_async(_fails, [3])
        with pytest.raises(qsession_widget.JobFailedError, match="number 3") as caught:
            waiting.get(DEADLINE_SECONDS)
    assert caught.value.job_id == "j3"


def test_a_simulators_jobs_are_pickled_with_their_session(runtime: Path) -> None:
    del runtime
    session = Session(backend="aer_simulator")
    job = Sampler(session).run([bell()], shots=3)
    again = pickle.loads(pickle.dumps(session))  # noqa: S301 - our own
    assert (again.key, again.session_id) == (session.key, None)
    assert [each.result()[0].data.cr.num_shots for each in again.jobs()] == [3]
    assert [each.job_id() for each in again.jobs()] == [job.job_id()]


def test_a_service_is_pickled_by_the_name_of_its_account(tmp_path: Path) -> None:
    file = tmp_path / "accounts.json"
    QiskitRuntimeService.save_account(TOKEN, name="mine", instance=CRN, filename=file)
    service = QiskitRuntimeService(name="mine", filename=file)
    # Also where the token was passed as an argument, and is saved in the usual file.
    given = QiskitRuntimeService(token=TOKEN, instance=CRN)
    for each in (service, given):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(accounts, "account_file", lambda: file)
            text = pickle.dumps(each)
            assert TOKEN.encode() not in text
            assert pickle.loads(text) is each, "one service in one process"  # noqa: S301 - ours
            # Another process has none yet.
            each.close()
            again = pickle.loads(text)  # noqa: S301 - our own
        assert (again._account.token, again.closed) == (TOKEN, False)
        assert repr(again) == repr(each)
        assert again.active_account()["instance"] == CRN
        again.close()


def test_a_joined_runtime_is_found_again_by_the_environment(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del runtime
    url = "http://127.0.0.1:9"
    service = QiskitRuntimeService("local", TOKEN, url)
    for name, value in (("CHANNEL", "local"), ("TOKEN", TOKEN), ("URL", url)):
        monkeypatch.setenv(f"QISKIT_IBM_{name}", value)
    text = pickle.dumps(service)
    assert TOKEN.encode() not in text
    service.close()
    again = pickle.loads(text)  # noqa: S301 - our own
    assert again._account == service._account
    again.close()


def test_an_unsaved_token_is_not_pickled(runtime: Path) -> None:
    del runtime
    service = QiskitRuntimeService("local", TOKEN, "http://127.0.0.1:9")
    for each in (service, {"nested": [service]}):
        with pytest.raises(InvalidInputError, match="QISKIT_IBM_TOKEN") as caught:
            pickle.dumps(each)
        assert TOKEN not in str(caught.value)


def test_the_interpreter_ends_with_all_of_them_alive(slow_runtime: Path) -> None:
    """Sessions, watches, panels, callbacks and waiting threads: exit status 0, and no output."""
    script = """
import asyncio, threading
from tests.client import one_of_each
from qsession_widget import Sampler, Session, SessionPanel, watch
from qsession_widget.panel.terminal import TerminalView
from qsession_widget.monitoring.monitor import Monitor

session = Session(backend="fake_lagos")
job = session.run("sampler", {"pubs": [[one_of_each.bell(), [], 1]]}, callback=print)
held = [session, Sampler(session), SessionPanel(session), watch(session.session_id), session.device]
held += [KIND.make(session, job) for KIND in one_of_each.KINDS.values()]
simulator = Session(backend="aer_simulator")
held += [Sampler(simulator).run([one_of_each.bell()]), SessionPanel(simulator)]
threading.Thread(target=job.result, daemon=True).start()

async def wait():
    task = asyncio.ensure_future(awaited())
    await asyncio.sleep(0)
    return task

async def awaited():
    return await job

asyncio.run(wait())
print("made", job.job_id())
"""
    child = subprocess.Popen(  # noqa: S603 - ours
        [sys.executable, "-W", "error:::qsession_widget", "-c", script],
        env={**os.environ, "QSESSION_HOME": str(slow_runtime)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        said, complained = child.communicate(timeout=DEADLINE_SECONDS)
    finally:
        child.kill()
    assert (child.returncode, complained) == (0, "")
    assert said.startswith("made ")
    eventually(lambda: gone(child.pid))
    service = QiskitRuntimeService()
    for left in service.jobs(limit=None, pending=True):
        left.cancel()
