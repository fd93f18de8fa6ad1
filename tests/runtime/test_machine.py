"""The share of the machine that a runtime uses, and what its workers can reach."""

from __future__ import annotations

import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from qsession_widget.runtime import machine
from qsession_widget.runtime.settings import Settings
from qsession_widget.runtime.worker import limits
from tests.conftest import running
from tests.runtime.server import reached

if TYPE_CHECKING:
    from pathlib import Path

linux = pytest.mark.skipif(sys.platform != "linux", reason="as only Linux has it")
GIB = 2**30


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("where", ["pods/mine", "pods", ""])
def test_a_control_group_or_its_parent_bounds_the_memory(
    tmp_path: Path, version: int, where: str
) -> None:
    groups, root = tmp_path / "cgroup", tmp_path / "fs"
    if version == 1:
        groups.write_text("4:memory:/pods/mine\n1:cpu,cpuacct:/pods/mine\n0::/\n")
        write(root / "cpu,cpuacct" / where / "cpu.cfs_quota_us", "50000")
        write(root / "cpu,cpuacct" / where / "cpu.cfs_period_us", "100000")
        write(root / "memory" / where / "memory.limit_in_bytes", str(GIB // 8))
    else:
        groups.write_text("0::/pods/mine\n")
        write(root / where / "cpu.max", "50000 100000\n")
        write(root / where / "memory.max", f"{GIB // 8}\n")
    assert machine.processors(groups, root) == 1
    assert machine.memory_bytes(groups, root) == GIB // 8


def test_a_control_group_without_bounds_bounds_nothing(tmp_path: Path) -> None:
    groups, root = tmp_path / "cgroup", tmp_path / "fs"
    groups.write_text("0::/\n4:memory:/\n1:cpu:/\n")
    write(root / "cpu.max", "max 100000\n")
    write(root / "memory.max", "max\n")
    write(root / "memory" / "memory.limit_in_bytes", str(2**63 - 4096))
    write(root / "cpu" / "cpu.cfs_quota_us", "-1")
    write(root / "cpu" / "cpu.cfs_period_us", "100000")
    assert machine.processors(groups, root) == machine.processors(tmp_path / "none", root)
    assert machine.memory_bytes(groups, root) == machine.memory_bytes(tmp_path / "none", root)


@linux
def test_affinity_and_ulimit_bound_the_machine() -> None:
    code = (
        "import os, resource; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        f"resource.setrlimit(resource.RLIMIT_DATA, ({GIB}, {GIB}))\n"
        "from qsession_widget.runtime import machine\n"
        "print(machine.processors(), machine.memory_bytes())"
    )
    said = subprocess.check_output([sys.executable, "-c", code], text=True)  # noqa: S603 - ours
    count, size = map(int, said.split())
    assert count == 1
    assert size <= GIB
    assert Settings().workers >= 2


@linux
def test_jobs_run_where_ulimit_leaves_less_than_they_may_take(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    allowed = 3 * GIB
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, before[1]))
    try:
        with running(tmp_path, "--workers", "1", "--max-job-memory-bytes", str(8 * GIB)) as folder:
            server = reached(folder)
            assert server.ended(server.submit())["status"] == "Completed"
        with limits.Limits(memory_bytes=8 * GIB).on_memory():
            assert resource.getrlimit(resource.RLIMIT_DATA)[0] == allowed
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
