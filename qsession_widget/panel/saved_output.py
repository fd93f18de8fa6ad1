"""Renews the text and HTML of a panel's outputs, so that a saved notebook tells how it ended.

A notebook keeps what was displayed, not what the widget showed later. Each display has an id, under
which the kernel may replace it. JupyterLab would draw the panel anew for that, but our extension
keeps the one that is there, and says so (`js/src/lab/outputs.ts`). For hosts that draw anew, an
output is renewed as long as none has drawn the panel, and once at the session's end.
"""

from __future__ import annotations

import sys
import time
import uuid
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from qsession_widget.monitoring.snapshot import LinkState
from qsession_widget.panel.explanation import why
from qsession_widget.panel.html import as_html
from qsession_widget.panel.text import as_text
from qsession_widget.support import forking
from qsession_widget.wire.states import JobState

if TYPE_CHECKING:
    from qsession_widget.monitoring.snapshot import Snapshot

PANEL_MIME = "application/vnd.qsession-widget.panel+json"
"""By which JupyterLab with our extension draws the output."""

EVERY_SECONDS = 60.0
"""How often outputs are renewed if the picture differs, and at once at the session's end."""

_MOST_OUTPUTS = 4
"""How many displays of one panel are renewed: the latest."""


def shell() -> Any:
    """Return IPython's shell; None outside of a kernel."""
    found = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return found if hasattr(found, "kernel") else None


class Panel(Protocol):
    """What is displayed."""

    @property
    def drawn(self) -> bool:
        """Whether a page has drawn it, as far as its host reports that."""

    def look(self) -> Snapshot:
        """Return the session as it is now, within a short time."""


class SavedOutputs:
    """The outputs of one panel in the notebook.

    Attributes:
        kept: whether the page keeps the panel that it has drawn when its output is renewed.

    Args:
        panel: the panel, held weakly.
    """

    def __init__(self, panel: Panel) -> None:
        self.kept = False
        self._panel = weakref.ref(panel)
        self._outputs: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        self._lock = forking.Lock()
        self._looked_at = 0.0
        self._shown: Snapshot | None = None
        self._hooked = False

    def display(self, snapshot: Snapshot, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        """Display the panel in the cell that runs, with an id under which it is renewed.

        Args:
            snapshot: the session.
            data: the panel's MIME bundle.
            metadata: that of the bundle.
        """
        name = uuid.uuid4().hex
        with self._lock:
            self._outputs[name] = ({**data, PANEL_MIME: {"version": 1}}, metadata)
            while len(self._outputs) > _MOST_OUTPUTS:
                del self._outputs[next(iter(self._outputs))]
            self._publish(snapshot, name, update=False)
            self._looked_at, self._shown = time.monotonic(), snapshot
            found = shell()
            if found is not None and not self._hooked:
                self._hooked = True
                found.events.register("post_run_cell", self._after_cell)

    def renew_in_time(self, snapshot: Snapshot) -> None:
        """Renew the outputs if they are due. Only the monitor's thread may call this."""
        panel = self._panel()
        if not self._outputs or panel is None:
            return
        late = time.monotonic() - self._looked_at >= EVERY_SECONDS
        ended = snapshot.link.state is LinkState.ENDED and self._last() is not LinkState.ENDED
        if not ended and not (late and (self.kept or not panel.drawn)):
            return
        self._looked_at = time.monotonic()
        if _differs(snapshot, self._shown):
            self._renew(snapshot)
        else:
            self._shown = snapshot

    def _last(self) -> LinkState | None:
        return None if self._shown is None else self._shown.link.state

    def _after_cell(self, _result: object) -> None:
        """Renew the outputs after a cell where no page draws them, as when nbconvert executes.

        Nothing arrives there after the last cell, and nothing is drawn anew.
        """
        panel = self._panel()
        if panel is None or self._last() is LinkState.ENDED:
            self._unhook()
        elif not panel.drawn:
            snapshot = panel.look()
            if _differs(snapshot, self._shown):
                self._renew(snapshot)

    def _unhook(self) -> None:
        found = shell()
        if found is not None and self._hooked:
            self._hooked = False
            found.events.unregister("post_run_cell", self._after_cell)

    def _renew(self, snapshot: Snapshot) -> None:
        with self._lock:
            if self._shown is not None and snapshot.beat < self._shown.beat:
                # Another thread has renewed them with a later one.
                return
            for name in self._outputs:
                self._publish(snapshot, name, update=True)
            self._looked_at, self._shown = time.monotonic(), snapshot

    def _publish(self, snapshot: Snapshot, name: str, *, update: bool) -> None:
        found = shell()
        if found is None:
            return
        data, metadata = self._outputs[name]
        found.display_pub.publish(
            {**data, "text/plain": as_text(snapshot), "text/html": as_html(snapshot)},
            metadata,
            transient={"display_id": name},
            update=update,
        )


def _differs(snapshot: Snapshot, shown: Snapshot | None) -> bool:
    """Whether a picture of a session would differ from the one that is shown.

    The date and the countdowns alone make no difference: they would mark the notebook as changed
    each minute. The time for which a job runs does.
    """
    if shown is None or snapshot.count(JobState.RUNNING):
        return True
    if why(snapshot) != why(shown):
        return True
    then = replace(snapshot, now=shown.now)
    return as_html(then) != as_html(shown) or as_text(then) != as_text(shown)
