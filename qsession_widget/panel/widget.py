"""The panel as a Jupyter widget. Traits flow to the browser, messages come back: never both ways.

`js/src/contract.ts` is the other side of this file.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import anywidget
import traitlets

from qsession_widget.client.job import RuntimeJob
from qsession_widget.client.session import Session, find_session
from qsession_widget.errors import InvalidInputError, QSessionError
from qsession_widget.monitoring.monitor import Monitor
from qsession_widget.monitoring.redaction import without_secrets_in
from qsession_widget.monitoring.snapshot import LinkState
from qsession_widget.panel import job_columns
from qsession_widget.panel.countdowns import countdowns
from qsession_widget.panel.explanation import why
from qsession_widget.panel.html import as_html
from qsession_widget.panel.job_columns import milliseconds
from qsession_widget.panel.job_preview import LONGEST_TEXT, peek
from qsession_widget.panel.still import Still
from qsession_widget.panel.text import as_text

if TYPE_CHECKING:
    from qiskit_ibm_runtime import Session as OfficialSession

    from qsession_widget.monitoring.snapshot import Notice, Snapshot

logger = logging.getLogger(__name__)

_STATIC = Path(__file__).with_name("static")
if not (_STATIC / "widget.js").is_file():
    # Only a clone can be without; a session then shows itself as text.
    raise ImportError("the panel's front end is not built; run `make build`")
_FIRST_PAGES = 8
_MOST_REFS = 16
_LONGEST_REF = 40
_LOOK_LASTS_SECONDS = 45.0
"""How long the browser's word holds that somebody looks; it says so every 20 s."""
_UNCOUNTED_LOOK_LASTS_SECONDS = 3600.0
"""How long it holds where the host counts no views: in marimo no word comes while a cell runs."""
_LOOK_SECONDS = 2.0
"""How long a cell waits for the service when it displays a session."""


class SessionPanel(anywidget.AnyWidget):
    """A live panel of a session: status, details, jobs, and buttons that act on it.

    Panels of one session share one polling thread, which is the only writer of their traits. The
    browser reads them and sends commands as messages.

    Args:
        session: the session to show. A simulator has none on the service; its panel shows the
            jobs that went through the session object.

    Raises:
        InvalidInputError: `session` is no Session or Batch of this package.
    """

    _esm = _STATIC / "widget.js"
    _css = _STATIC / "widget.css"
    # Any minor version of anywidget in the server's environment draws this; asking for the
    # kernel's own would fail on hubs where the two differ.
    _model_module_version = traitlets.Unicode("*").tag(sync=True)
    _view_module_version = traitlets.Unicode("*").tag(sync=True)

    head = traitlets.Dict().tag(sync=True)
    """What the session is and how it is: id, backend, mode, status, details, deadlines."""
    jobs = traitlets.Dict().tag(sync=True)
    """How many jobs there are (`count`), and how many make a page (`page`).

    The pages are in traits of their own, `page0` and so on, made as they are needed.
    """
    states = traitlets.Bytes().tag(sync=True)
    """The states of all jobs (`columns.state_bytes`)."""
    reasons: traitlets.List[Any] = traitlets.List().tag(sync=True)
    """Why the newest of the jobs that failed or were cancelled did so (`columns.reasons`)."""
    estimates = traitlets.Dict().tag(sync=True)
    """When the first of the jobs that wait may start (`columns.estimates`)."""
    beat = traitlets.Dict().tag(sync=True)
    """The monitor's sign of life: `n` counts, `every` is in seconds.

    `at` is this machine's time, `now` what the service's clock showed, `rate` how fast it goes.
    """
    link = traitlets.Dict().tag(sync=True)
    """How monitor and service get on: `state`, `error`, `since`, `retry` in seconds."""
    notice = traitlets.Dict().tag(sync=True)
    """What became of the last command: `n`, `level`, `text`, and which `command` it was."""
    commands = traitlets.Dict().tag(sync=True)
    """The names (`ref`) of the last commands that were `heard`, and of those `done`.

    While a cell runs, some kernels hear nothing: what is sent and not heard waits for the cell.
    """

    def __init__(self, session: Session) -> None:
        if not isinstance(session, Session):
            raise InvalidInputError(
                f"{session!r} is no session; SessionPanel takes a Session or Batch, and "
                "watch() also takes a session's id"
            )
        self._monitor = Monitor.of(session)
        snapshot = self._monitor.look_now(_LOOK_SECONDS)
        self._shown = snapshot
        self._heard: tuple[str, ...] = ()
        self._views_are_counted = False
        # Whoever makes a panel is about to look at it; no word of that comes while the cell runs.
        self._looked_at_until = time.monotonic() + _LOOK_LASTS_SECONDS
        self._pages = job_columns.pages(snapshot.jobs)
        self._room = 0
        self._make_room()
        # Complete from the first message on, since the browser may draw before the next one.
        super().__init__(
            head=_head(snapshot),
            **{_page_name(at): job_columns.page(rows) for at, rows in enumerate(self._pages)},
            jobs=_jobs(snapshot),
            states=job_columns.state_bytes(snapshot.jobs),
            reasons=job_columns.reasons(snapshot.jobs),
            estimates=job_columns.estimates(snapshot.jobs),
            beat=_beat(snapshot),
            link=_link(snapshot),
            notice={"n": 0, "level": "info", "text": "", "command": ""},
            commands={"heard": [], "done": []},
            # None would mean that nobody counts the views.
            _view_count=0,
        )
        self.on_msg(self._on_message)
        self.observe(lambda _change: self._on_view_count(), "_view_count")
        self._take_messages_on_any_shell()
        self._monitor.add(self)

    def __copy__(self) -> Self:
        # It is on the screens that it is on: a copy would be another panel.
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # Elsewhere it is a panel of the same session. Its own class was made for its pages.
        return SessionPanel, (self.session,)

    @property
    def session(self) -> Session:
        """The session that it shows."""
        return self._monitor.session

    @property
    def looked_at(self) -> bool:
        """Whether it is on some screen, as far as its host or the view itself says so."""
        return bool(self._view_count) or time.monotonic() < self._looked_at_until

    @property
    def closed(self) -> bool:
        """Whether `close` was called, so that it shows nothing any more."""
        return self.comm is None

    def snapshot(self) -> Still:
        """Give the session as it is now, to keep: displayed, it stays in a saved notebook."""
        return Still(self._monitor.look_now(_LOOK_SECONDS))

    def show(self, snapshot: Snapshot) -> None:
        """Send a snapshot to the browser. The monitor's thread calls this, and nothing else may."""
        last, self._shown = self._shown, snapshot
        new_jobs = snapshot.jobs is not last.jobs
        before = self._pages
        if new_jobs:
            self._pages = job_columns.pages(snapshot.jobs)
            self._make_room()
        with self.hold_sync():
            if new_jobs:
                for at, rows in enumerate(self._pages):
                    if at >= len(before) or rows != before[at]:
                        self.set_trait(_page_name(at), job_columns.page(rows))
                self.jobs = _jobs(snapshot)
                self.states = job_columns.state_bytes(snapshot.jobs)
                self.reasons = job_columns.reasons(snapshot.jobs)
                self.estimates = job_columns.estimates(snapshot.jobs)
            if new_jobs or snapshot.details is not last.details:
                self.head = _head(snapshot)
            self.link = _link(snapshot)
            self.beat = _beat(snapshot)
            self.commands = {**self.commands, "heard": list(self._heard)}

    def tell(self, notice: Notice) -> None:
        """Send what became of a command. The monitor's thread calls this, and nothing else may."""
        self.notice = {
            "n": self.notice["n"] + 1,
            "level": notice.level,
            "text": notice.text,
            "command": notice.command,
        }
        if notice.ref is not None:
            done = [*self.commands["done"], notice.ref][-_MOST_REFS:]
            self.commands = {**self.commands, "done": done}

    def answer(self, answer: dict[str, Any]) -> None:
        """Send what the browser asked for. Only the monitor's thread may call this."""
        self.send(answer)

    def close(self) -> None:
        """Take the panel off every screen. The session goes on."""
        # ipywidgets also closes what its constructor refused, which has no monitor.
        monitor: Monitor | None = self.__dict__.get("_monitor")
        if monitor is not None:
            monitor.remove(self)
        super().close()

    def __repr__(self) -> str:
        return as_text(self._monitor.snapshot)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Display as the widget, with text and static HTML for where there are no widgets."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        # It is being displayed, of which no word comes either while the next cell runs.
        self._hold_look()
        # The widget brings itself up to date; what is saved beside it cannot.
        snapshot = self._monitor.look_now(_LOOK_SECONDS)
        data["text/plain"] = as_text(snapshot)
        data["text/html"] = as_html(snapshot)
        return data, metadata

    def _on_message(self, _widget: SessionPanel, content: Any, _buffers: Any) -> None:
        """Queue a command of the browser; whichever thread this is must not wait."""
        ref = _ref(content)
        if ref is not None:
            self._heard = (*self._heard, ref)[-_MOST_REFS:]
        if not self._command(content, ref) and not self._question(content):
            logger.warning("the panel got a message that it does not know: %.200r", content)

    def _command(self, content: object, ref: str | None) -> bool:
        """Give a command to the monitor; say whether this is one."""
        match content:
            case {"do": "close"}:
                self._monitor.close_session(ref)
            case {"do": "cancel"}:
                self._monitor.cancel_session(ref)
            case {"do": "cancel_queued"}:
                self._monitor.cancel_queued(ref)
            case {"do": "cancel_job", "job_id": str(job_id)}:
                self._monitor.cancel_job(job_id, ref)
            case {"do": "cancel_jobs", "job_ids": list(job_ids)} if _are_texts(job_ids):
                self._monitor.cancel_jobs(job_ids, ref)
            case _:
                return False
        return True

    def _question(self, content: object) -> bool:
        """Do what changes nothing on the service; say whether this is such a message."""
        match content:
            case {"do": "peek", "job_id": str(job_id)}:
                self._monitor.ask(self, lambda: self._peek(job_id))
            case {"do": "look"}:
                if not self.looked_at:
                    self._monitor.refresh()
                self._hold_look()
            case {"do": "refresh", "all": True}:
                self._send_all()
            case {"do": "refresh"}:
                self._monitor.refresh()
            case _:
                return False
        return True

    def _hold_look(self) -> None:
        """Take it for some time that somebody looks."""
        counted = self._views_are_counted
        lasts = _LOOK_LASTS_SECONDS if counted else _UNCOUNTED_LOOK_LASTS_SECONDS
        self._looked_at_until = time.monotonic() + lasts

    def _on_view_count(self) -> None:
        self._views_are_counted = True
        self._hold_look()
        # Whoever begins to look shall not see what was true a while ago.
        self._monitor.refresh()

    def _send_all(self) -> None:
        """Look at the service, and send everything from this thread, which sets nothing.

        For hosts that only pass on what is sent while they wait for an answer (Colab): there the
        browser asks for this when it has heard nothing for a while.
        """
        before = self.beat["n"]
        self._monitor.start()
        self._monitor.refresh()

        def shown(seen: Snapshot) -> bool:
            ended = seen.link.state is LinkState.ENDED
            heard = self.commands["heard"] == list(self._heard)
            return ended or (self.beat["n"] > before and heard)

        self._monitor.wait_for(shown, _LOOK_SECONDS)
        self.send_state()

    def _peek(self, job_id: str) -> dict[str, Any]:
        try:
            found = peek(RuntimeJob(self.session.service, job_id))
        except Exception as error:
            # Whatever a result holds that this cannot read, the panel says so beside the job.
            if not isinstance(error, QSessionError):
                logger.exception("job %r could not be shown", job_id)
            found = {"job_id": job_id, "error": f"{type(error).__name__}: {error}"[:LONGEST_TEXT]}
        return {"peek": without_secrets_in(found)}

    def _make_room(self) -> None:
        """Have a trait for each page, made in growing lots, since each lot makes a class."""
        while self._room < len(self._pages):
            lot = max(self._room, _FIRST_PAGES)
            names = [_page_name(at) for at in range(self._room, self._room + lot)]
            self.add_traits(**{name: traitlets.Dict().tag(sync=True) for name in names})
            self._room += lot

    def _take_messages_on_any_shell(self) -> None:
        """Let ipykernel 7.4 handle clicks while a cell runs.

        It routes a comm's messages to the shell that last published on it, which for a widget
        made in a cell is the busy one; without the attribute it uses the comm's own subshell.
        """
        if self.comm is not None:
            self.comm._reply_subshell_for = None  # noqa: SLF001  ipykernel has no public switch


def panel_of(session: Session) -> SessionPanel:
    """Give the panel that a session is displayed as: the same one as long as it is not closed."""
    for listener in Monitor.of(session).listeners:
        if isinstance(listener, SessionPanel) and not listener.closed:
            return listener
    return SessionPanel(session)


def watch(session: Session | OfficialSession | str) -> SessionPanel:
    """Give a panel for a session, also one that was opened elsewhere.

    Args:
        session: a Session or Batch of ours or of qiskit-ibm-runtime, or the id of one on the
            default service.

    Raises:
        InvalidInputError: it is none of these.
        NotFoundError: no session has this id.
    """
    return SessionPanel(find_session(session))


def _page_name(at: int) -> str:
    return f"page{at}"


def _ref(content: object) -> str | None:
    """Give the name that the browser gave a command."""
    found = content.get("ref") if isinstance(content, dict) else None
    return found[:_LONGEST_REF] if isinstance(found, str) else None


def _are_texts(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _jobs(snapshot: Snapshot) -> dict[str, Any]:
    return {"count": len(snapshot.jobs), "page": job_columns.PAGE_JOBS}


def _head(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "key": snapshot.key,
        "session_id": snapshot.session_id,
        "backend_name": snapshot.backend_name,
        "simulator": snapshot.simulator,
        "mode": snapshot.details.get("mode"),
        "policy": snapshot.policy,
        "status": snapshot.status,
        "state": snapshot.details.get("state"),
        "accepting_jobs": snapshot.details.get("accepting_jobs"),
        "details": snapshot.details,
        "why": _why(snapshot),
        "details_at": milliseconds(snapshot.details_at),
        "usage": None if snapshot.usage is None else asdict(snapshot.usage),
        "cache": None if snapshot.cache is None else asdict(snapshot.cache),
        "countdowns": [
            {
                "kind": each.kind,
                "label": each.label,
                "ends": milliseconds(each.ends_at),
                "total": round(each.seconds * 1000),
            }
            for each in countdowns(snapshot)
        ],
    }


def _why(snapshot: Snapshot) -> dict[str, Any] | None:
    found = why(snapshot)
    if found is None:
        return None
    parts = [part if isinstance(part, str) else milliseconds(part) for part in found.parts]
    return {"parts": parts, "fields": list(found.fields), "document": found.document}


def _beat(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "n": snapshot.beat,
        "at": milliseconds(snapshot.seen_at),
        "now": milliseconds(snapshot.now),
        "rate": snapshot.rate,
        "every": snapshot.every_seconds,
    }


def _link(snapshot: Snapshot) -> dict[str, Any]:
    link = snapshot.link
    return {
        "state": link.state.value,
        "error": link.error,
        "since": milliseconds(link.since),
        "retry": link.retry_seconds,
    }
