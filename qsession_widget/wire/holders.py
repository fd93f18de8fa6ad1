"""Says in words which session has a backend while jobs of others wait for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from qsession_widget.wire.documents import HolderDocument

SHORT_ID = 8
"""How many characters of a session's id tell the sessions of a runtime apart."""


class Holder(Protocol):
    """A session that has a backend to itself. Id, name and place are None for others' sessions."""

    @property
    def mine(self) -> bool:
        """Whether it belongs to the user who asks."""

    @property
    def session_id(self) -> str | None:
        """Its id."""

    @property
    def name(self) -> str | None:
        """Its name."""

    @property
    def place(self) -> str | None:
        """The notebook or the script that opened it."""

    @property
    def idle(self) -> bool:
        """Whether it runs no job."""

    @property
    def until(self) -> datetime | None:
        """When it gives way by itself."""


class ReadHolder:
    """A holder as a service's JSON describes it."""

    def __init__(self, document: HolderDocument) -> None:
        self.mine = document.mine is True
        self.session_id = document.session_id or None
        self.name = document.name or None
        self.place = document.place or None
        self.idle = document.state == "idle"
        self.until = _time(document.until or None)
        self.kernel_gone = document.kernel_gone is True


def holder_parts(holder: Holder, backend: str) -> tuple[str | datetime, ...]:
    """Return a phrase, in pieces of text and times.

    For example "fake_manila is held by your session 4e1a6ed4 (quickstart.ipynb), idle, until TIME".
    """
    what = f"{backend} is held by {_whose(holder)}, {'idle' if holder.idle else 'which runs jobs'}"
    if holder.until is None:
        return (what,)
    if holder.idle:
        return (f"{what}, until ", holder.until)
    return (f"{what}, until ", holder.until, " at the latest")


def _whose(holder: Holder) -> str:
    if not holder.mine:
        return "another user's session"
    parts = [
        holder.name,
        (holder.session_id or "")[:SHORT_ID],
        holder.place and f"({holder.place})",
    ]
    return " ".join(["your session", *(part for part in parts if part)])


def _time(text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None
