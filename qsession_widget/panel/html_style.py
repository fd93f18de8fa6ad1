"""Inline styles of static HTML, since code hosting sites remove style sheets."""

from __future__ import annotations

from qsession_widget.wire import state_words
from qsession_widget.wire.states import JobState

GREY, BLUE, GREEN, AMBER, RED = "#6b7580", "#1769c8", "#2b7a31", "#a85300", "#c62f2f"
"""Legible on light and on dark ground, with white on them: sites keep no style sheets."""

LINE = "rgba(128,128,128,0.3)"
CARD = (
    f"border:1px solid {LINE};border-radius:8px;padding:12px 16px;max-width:860px;"
    "font:13px/1.5 system-ui,sans-serif;font-variant-numeric:tabular-nums"
)
CELL = f'style="text-align:left;padding:4px 16px 4px 0;border-top:1px solid {LINE}"'
WHOLE = CELL[:-1] + ';white-space:nowrap"'
FIGURE = WHOLE.replace("text-align:left", "text-align:right")
TABLE = 'style="border-collapse:collapse;font:inherit;color:inherit;margin:6px 0"'
HEAD = 'style="text-align:left;padding:4px 16px 4px 0;font-weight:500;opacity:0.7"'
QUIET = 'style="opacity:0.7"'

PILL = "color:#fff;border-radius:99px;padding:1px 10px;font-size:12px;font-weight:600"
PILLS = {
    state_words.RUNNING: BLUE,
    state_words.IDLE: AMBER,
    state_words.IDLE_PAID: AMBER,
}
JOBS = {
    JobState.RUNNING: BLUE,
    JobState.COMPLETED: GREEN,
    JobState.FAILED: RED,
}
