"""Draws the status of a local runtime in a terminal: backends, sessions and workers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from qsession_widget.cli.listings import word
from qsession_widget.wire import state_words
from qsession_widget.wire.holders import SHORT_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

_AHEAD = timedelta(minutes=1)
"""From when on it is said that the runtime's clock is ahead."""

_STYLES = {
    "busy": "cyan",
    "draining": "yellow",
    "refused": "red",
    "starting": "yellow",
    state_words.RUNNING: "cyan",
    state_words.WAITING: "yellow",
    state_words.IDLE_PAID: "yellow",
}


def render(status: Mapping[str, Any]) -> RenderableType:
    """Return a drawing of the JSON of GET /qsession/status."""
    size = Text(f"Store: {status['store']['bytes']:,} bytes")
    tables = (_devices(status), _sessions(status), _hosts(status), _workers(status))
    found = (_clock(status), *tables, size)
    parts = [part for part in found if part is not None]
    return Group(*(each for part in parts for each in (Text(), part)))


def _clock(status: Mapping[str, Any]) -> Text | None:
    """Return how time passes, or None for the real time."""
    rate = status["rate"]
    if rate == 1:
        ahead = datetime.fromisoformat(status["now"]) - datetime.now(UTC)
        if ahead < _AHEAD:
            return None
        return Text(
            f"Its clock shows {status['now']}, ahead of this machine's: sessions or jobs of an "
            "earlier clock are unfinished. It returns when they are over.",
            style="yellow",
        )
    how = "stands still until advanced" if rate == 0 else f"passes {rate:g} times as fast"
    return Text(f"Its clock shows {status['now']} and {how}.", style="yellow")


def _devices(status: Mapping[str, Any]) -> Table | None:
    if not status["devices"]:
        return None
    table = _table("Device", "Queued", "Running", "Reserved for")
    for each in status["devices"]:
        reserved = (each["session_id"] or "")[:SHORT_ID]
        table.add_row(each["name"], str(each["queued"]), str(each["running"]), reserved)
    return table


def _sessions(status: Mapping[str, Any]) -> Table | None:
    if not status["sessions"]:
        return None
    table = _table("Session", "User", "Device", "Mode", "State", "Queued", "Running", "Used")
    for each in status["sessions"]:
        extra = each["qsession"]
        table.add_row(
            each["id"][:SHORT_ID],
            each["user_id"],
            each["backend_name"],
            each["mode"],
            _state(word(each)),
            str(extra["queued"]),
            str(extra["running"]),
            f"{each['elapsed_time']:.0f} s",
        )
    more = status["session_count"] - len(status["sessions"])
    if more:
        table.add_row(f"and {more} more")
    return table


def _hosts(status: Mapping[str, Any]) -> Table | None:
    # An older runtime has none.
    hosts = status.get("hosts")
    if not hosts:
        return None
    table = _table("Host", "State", "Slots", "Busy", "Address", "")
    for each in hosts:
        table.add_row(
            each["host"],
            _state(each["state"]),
            str(each["slots"]),
            str(each["busy"]),
            each["address"],
            Text(each["reason"], overflow="fold"),
        )
    return table


def _workers(status: Mapping[str, Any]) -> Table:
    table = _table("Worker", "State", "Job", "Device")
    for number, each in enumerate(status["workers"], start=1):
        table.add_row(
            each.get("host") or str(each["pid"] or number),
            _state(each["state"]),
            each["job_id"] or "",
            each["device"] or "",
        )
    return table


def _state(name: str) -> Text:
    return Text(name, style=_STYLES.get(name, ""))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for each in columns:
        table.add_column(each, justify="right" if each in _NUMBERS else "left", no_wrap=True)
    return table


_NUMBERS = {"Queued", "Running", "Used", "Slots", "Busy"}
