"""A Dask scheduler, hosts and a runtime as processes of their own, to be started and killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import psutil

from qsession_widget.errors import ServiceUnavailableError
from qsession_widget.local import process
from tests.conftest import DEADLINE_SECONDS, eventually
from tests.runtime.server import reached

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.runtime.server import Server

LEASE_SECONDS = 3


class Cluster:
    """The processes of a cluster, each by its name."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.arguments = arguments
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"dask://127.0.0.1:{self.port}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start_scheduler(self) -> None:
        options = ("--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard")
        self._start("scheduler", "-m", "dask", "scheduler", *options)

    def start_host(self, name: str, *options: str, **environment: str) -> None:
        command = ("-P", "-m", "qsession_widget.runtime.dask", self.address, "--name", name)
        self._start(name, *command, *(options or ("--slots", "1")), **environment)

    def start_server(self) -> None:
        lease = ("--host-lease-seconds", str(LEASE_SECONDS))
        executor = ("--executor", self.address, *lease, *self.arguments)
        home = ("--home", str(self.folder))
        self._start("server", "-m", "qsession_widget.runtime", *home, *executor)

    @property
    def server(self) -> Server:
        """The runtime, once it answers."""

        def answers() -> bool:
            child = self.processes["server"]
            assert child.poll() is None, self.log("server")
            try:
                return process.endpoint(start=False, folder=self.folder).pid == child.pid
            except ServiceUnavailableError:
                return False

        eventually(answers, "a runtime")
        return reached(self.folder)

    def hosts(self) -> dict[str, Any]:
        """Return the runtime's hosts by the names of their processes."""
        found = {each["address"]: each for each in self.server.json("/qsession/status")["hosts"]}
        return {
            name: found[address]
            for name in self.processes
            for address in found
            if address.rpartition(":")[2] in self._ports(name)
        }

    def ready(self, *names: str) -> None:
        """Wait until hosts have joined."""

        def are_ready() -> bool:
            found = self.hosts()
            return all(found.get(name, {}).get("state") == "ready" for name in names)

        eventually(are_ready, f"hosts {names}")

    def workers(self, name: str) -> list[psutil.Process]:
        """Return the processes of a host that run jobs."""
        try:
            below = psutil.Process(self.processes[name].pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        # One is the fork server, and one tracks its resources.
        servers = {each.ppid() for each in below} - {self.processes[name].pid}
        return [each for each in below if each.ppid() in servers]

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Send a process a signal, and wait for its end; returns its exit status."""
        child = self.processes.pop(name)
        child.send_signal(number)
        return child.wait(DEADLINE_SECONDS)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.txt").read_text(errors="replace")

    def _ports(self, name: str) -> set[str]:
        try:
            connections = psutil.Process(self.processes[name].pid).net_connections("tcp")
        except psutil.Error:
            return set()
        return {str(each.laddr.port) for each in connections if each.status == "LISTEN"}

    def _start(self, name: str, *arguments: str, **environment: str) -> None:
        with (self.folder / f"{name}.txt").open("ab") as log:
            self.processes[name] = subprocess.Popen(  # noqa: S603 - ours
                [sys.executable, *arguments],
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
            )


@contextmanager
def a_cluster(folder: Path, *arguments: str) -> Iterator[Cluster]:
    """Start a scheduler and a runtime, and end all processes at the end."""
    cluster = Cluster(folder, *arguments)
    try:
        cluster.start_scheduler()
        cluster.start_server()
        yield cluster
    finally:
        children = list(cluster.processes.values())
        for each in children:
            # A stopped process hears nothing else.
            each.kill()
        for each in children:
            each.wait(DEADLINE_SECONDS)


def wait_for(cluster: Cluster, job_ids: list[str]) -> list[Any]:
    """Wait until jobs have ended, and return them."""
    server = cluster.server
    for job_id in job_ids:
        eventually(partial(_is_final, server, job_id), f"the end of {job_id}")
    return [server.job(job_id) for job_id in job_ids]


def _is_final(server: Server, job_id: str) -> bool:
    return server.status(job_id) in {"Completed", "Failed", "Cancelled"}
