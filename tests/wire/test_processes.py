"""Whether a process has ended, seen from another one."""

from __future__ import annotations

import os

import psutil
import pytest

from qsession_widget.wire import processes
from tests.conftest import eventually
from tests.programs import Program


def test_a_process_that_is_killed_has_ended_even_before_its_parent_asks() -> None:
    program = Program()
    assert processes.is_name(program.name)
    assert not processes.has_ended(program.name)
    program.kill()
    eventually(lambda: psutil.Process(program.pid).status() == psutil.STATUS_ZOMBIE, "a zombie")
    assert processes.has_ended(program.name)
    program.kill_and_reap()
    assert processes.has_ended(program.name)


def test_a_later_process_of_the_same_id_is_another_one() -> None:
    name = processes.own_name()
    assert not processes.has_ended(name)
    earlier, _, start = name.rpartition(":")
    assert processes.has_ended(f"{earlier}:{int(start) - 1}")


@pytest.mark.parametrize(
    "of_other_machine",
    [
        "5d1cb2d6-8e4b-4b42-9f6b-5f2c6a1b3c4d/4026531836:{pid}:1",
        "{boot}/1:{pid}:1",
    ],
)
def test_nothing_is_known_of_another_machine_or_container(of_other_machine: str) -> None:
    own = processes.own_name()
    name = of_other_machine.format(boot=own.partition("/")[0], pid=os.getpid())
    assert processes.is_name(name)
    assert not processes.has_ended(name)


@pytest.mark.parametrize(
    "text", ["", "1:2", "a/1:-1:2", "a/1:2:3\n", "a/1:2:3:4", "a/1:" + "9" * 200 + ":1"]
)
def test_what_is_no_name_tells_nothing(text: str) -> None:
    assert not processes.is_name(text)
    assert not processes.has_ended(text)


def test_a_number_that_is_no_process_has_ended() -> None:
    own = processes.own_name()
    assert processes.has_ended(f"{own.partition(':')[0]}:9999999999:1")


def test_a_system_that_does_not_tell_when_a_process_started_leaves_names_that_cannot_be_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "_machine", lambda: None)
    name = processes._name_of.__wrapped__(os.getpid())
    assert processes.is_name(name)
    assert not processes.has_ended(name)
    assert processes.machine_mark() is None


def test_the_mark_of_a_machine_does_not_tell_its_identifiers() -> None:
    mark, name = processes.machine_mark(), processes.own_name()
    assert mark is not None
    assert mark not in name
    assert name.partition("/")[0] not in mark
