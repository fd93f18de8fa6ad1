"""Fixtures: a comm that records what a widget sends to the browser, and on which thread."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import comm
import pytest
from comm.base_comm import BaseComm

from qsession_widget import SessionPanel

if TYPE_CHECKING:
    from qsession_widget import Session


@dataclass(frozen=True)
class Message:
    """One message of a widget to the browser."""

    kind: str
    data: dict[str, Any]
    thread: str
    buffer_bytes: int


@dataclass
class Wire:
    """All messages of all widgets of a test, in order."""

    messages: list[Message] = field(default_factory=list)

    def updates(self) -> list[Message]:
        """Return the messages after a widget's opening."""
        return [message for message in self.messages if message.kind == "comm_msg"]

    def opened(self) -> list[dict[str, Any]]:
        """Return the first state of each of our widgets; of binary traits only the names."""
        return [
            {**message.data["state"], **{path[0]: ... for path in message.data["buffer_paths"]}}
            for message in self.messages
            if message.kind == "comm_open" and "head" in message.data["state"]
        ]


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """Record what every widget sends."""
    recorded = Wire()

    class RecordingComm(BaseComm):
        def publish_msg(
            self,
            msg_type: str,
            data: dict[str, Any] | None = None,
            metadata: dict[str, Any] | None = None,
            buffers: list[bytes] | None = None,
            **keys: Any,
        ) -> None:
            del metadata, keys
            thread = threading.current_thread().name
            size = sum(len(buffer) for buffer in buffers or ())
            recorded.messages.append(Message(msg_type, dict(data or {}), thread, size))

    monkeypatch.setattr(comm, "create_comm", RecordingComm)
    return recorded


def shown(session: Session) -> SessionPanel:
    """Return a panel that the browser reports as visible."""
    panel = SessionPanel(session)
    update = {"method": "update", "state": {"_view_count": 1}, "buffer_paths": []}
    panel._handle_msg({"content": {"data": update}, "buffers": []})
    return panel


def answers(wire: Wire) -> list[Any]:
    """Return a panel's answers to requests of the browser."""
    custom = [each.data for each in wire.updates() if each.data["method"] == "custom"]
    return [data["content"]["peek"] for data in custom]


def click(panel: SessionPanel, content: object) -> None:
    """Send a message to the panel as the browser does."""
    message = {"content": {"data": {"method": "custom", "content": content}}, "buffers": []}
    panel._handle_msg(message)
