"""A cell says what to install if no front end answers, in a real kernel without a browser."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client.manager import start_new_kernel

from tests.conftest import DEADLINE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jupyter_client.blocking.client import BlockingKernelClient

DISPLAYS = """
from qsession_widget.panel import front_end
from qsession_widget import Session
front_end.PATIENCE_SECONDS = front_end._GRACE_SECONDS = {seconds}
session = Session(backend="aer_simulator")
session
"""
LATER = """
import asyncio
loop = asyncio.get_running_loop()
later = loop.create_future()
loop.call_later(3 * front_end.PATIENCE_SECONDS, later.set_result, None)
await later
"""
HINT = "pip install jupyterlab_widgets anywidget"


@pytest.fixture
def client(runtime: Path) -> Iterator[BlockingKernelClient]:
    environment = {**os.environ, "QSESSION_HOME": str(runtime)}
    manager, client = start_new_kernel(env=environment)
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run(client: BlockingKernelClient, code: str) -> tuple[str, list[dict[str, Any]]]:
    """Run a cell; return its id and what came while it ran."""
    heard: list[dict[str, Any]] = []
    reply = client.execute_interactive(code, output_hook=heard.append, timeout=DEADLINE_SECONDS)
    assert reply["content"]["status"] == "ok", reply["content"]
    return reply["parent_header"]["msg_id"], heard


def text(message: dict[str, Any]) -> str:
    return str(message["content"].get("data", {}).get("text/plain", ""))


def test_a_cell_that_nothing_draws_says_what_to_install(client: BlockingKernelClient) -> None:
    cell, _ = run(client, DISPLAYS.format(seconds=0.1))
    while HINT not in text(message := client.get_iopub_msg(timeout=DEADLINE_SECONDS)):
        pass
    # It belongs to the cell that has ended.
    assert (message["msg_type"], message["parent_header"]["msg_id"]) == ("display_data", cell)


def test_a_front_end_that_answers_is_believed(client: BlockingKernelClient) -> None:
    # It answers while the second cell runs.
    _, heard = run(client, DISPLAYS.format(seconds=1.0))
    (opened,) = [
        message["content"]["comm_id"]
        for message in heard
        if message["msg_type"] == "comm_open" and "head" in message["content"]["data"]["state"]
    ]
    data = {"method": "custom", "content": {"do": "here", "ref": "r1"}}
    message = client.session.msg("comm_msg", {"comm_id": opened, "data": data})
    client.shell_channel.send(message)
    _, heard = run(client, LATER)
    assert not [each for each in heard if HINT in text(each)]
    _, heard = run(client, "from qsession_widget import SessionPanel\nSessionPanel._drawn")
    assert [text(each) for each in heard if each["msg_type"] == "execute_result"] == ["True"]
