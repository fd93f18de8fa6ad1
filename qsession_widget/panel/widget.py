"""The panel as a Jupyter widget. Traits go to the browser and messages come back, never otherwise.

`js/src/contract.ts` is the other side of this file.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import anywidget
import traitlets

from qsession_widget.client.jobs.job import RuntimeJob
from qsession_widget.client.session import Session, find_session
from qsession_widget.errors import InvalidInputError, QSessionError
from qsession_widget.monitoring.job_list import PAGE_JOBS
from qsession_widget.monitoring.monitor import Monitor
from qsession_widget.monitoring.redaction import without_secrets_in
from qsession_widget.monitoring.snapshot import LinkState
from qsession_widget.panel import job_columns
from qsession_widget.panel.countdowns import countdowns
from qsession_widget.panel.experiment import throughput
from qsession_widget.panel.explanation import why
from qsession_widget.panel.front_end import (
    FRONT_END,
    STATIC,
    expect_answer,
    take_messages_on_any_shell,
)
from qsession_widget.panel.html import as_html
from qsession_widget.panel.job_columns import milliseconds
from qsession_widget.panel.job_preview import LONGEST_TEXT, peek
from qsession_widget.panel.saved_output import SavedOutputs, shell
from qsession_widget.panel.still import Still
from qsession_widget.panel.text import as_text
from qsession_widget.support.handles import Shared
from qsession_widget.wire.documents import known

if TYPE_CHECKING:
    from collections.abc import Callable

    from qiskit_ibm_runtime import Session as OfficialSession

    from qsession_widget.monitoring.job_list import JobList
    from qsession_widget.monitoring.snapshot import Notice, Snapshot

logger = logging.getLogger(__name__)

if not (STATIC / "widget.js").is_file():
    # Only a clone can lack it; a session is then displayed as text.
    raise ImportError("the panel's front end is not built; run `make build`")
_FIRST_PAGES = 8
_MOST_REFS = 16
_LONGEST_REF = 40
_LOOK_LASTS_SECONDS = 45.0
"""How long the browser's message counts that the panel is being looked at; one comes every 20 s."""
_UNCOUNTED_LOOK_LASTS_SECONDS = 3600.0
"""The same for hosts that count no views: in marimo no message arrives while a cell runs."""
_LOOK_SECONDS = 2.0
"""How long a cell that displays a session waits for the service."""


class SessionPanel(Shared, anywidget.AnyWidget):
    """A live panel of a session: status, details, jobs, and buttons that act on it.

    Panels of one session share one polling thread, which is the only writer of their traits. The
    browser reads them and sends commands as messages.

    Args:
        session: the session to show. A simulator has no session on the service; its panel shows
            the jobs that were sent through the session object.

    Raises:
        InvalidInputError: `session` is not a Session or Batch of this package.
    """

    _drawn: ClassVar = False
    """Whether a front end has loaded a panel of this process."""

    _esm = STATIC / "widget.js"
    _css = STATIC / "widget.css"
    _model_module_version = traitlets.Unicode(FRONT_END).tag(sync=True)
    _view_module_version = traitlets.Unicode(FRONT_END).tag(sync=True)

    head = traitlets.Dict().tag(sync=True)
    """The session: id, backend, mode, status, details, deadlines."""
    jobs = traitlets.Dict().tag(sync=True)
    """How many jobs there are (`count`), and how many make a page (`page`).

    The pages are separate traits, `page0` and so on, created as they are needed.
    """
    states = traitlets.Bytes().tag(sync=True)
    """The states of all jobs (`job_columns.state_bytes`)."""
    reasons: traitlets.List[Any] = traitlets.List().tag(sync=True)
    """Why the newest failed or cancelled jobs ended so (`job_columns.reasons`)."""
    estimates = traitlets.Dict().tag(sync=True)
    """When the first of the queued jobs may start (`job_columns.estimates`)."""
    beat = traitlets.Dict().tag(sync=True)
    """The monitor's heartbeat: `n` counts, `every` is in seconds.

    `at` is this machine's time, `now` that of the service's clock, `rate` how fast that runs.
    """
    link = traitlets.Dict().tag(sync=True)
    """The monitor's connection to the service: `state`, `error`, `since`, `retry` in seconds."""
    notice = traitlets.Dict().tag(sync=True)
    """The outcome of the last command: `n`, `level`, `text`, and which `command` it was."""
    commands = traitlets.Dict().tag(sync=True)
    """The names (`ref`) of the last commands that were `heard`, and of those `done`.

    `active` are those that are being carried out, as `[what to do, job's id or None]`: a second
    browser shows what was pressed in the first.

    Some kernels receive nothing while a cell runs: a command that is not heard waits for the cell.
    """

    def __init__(self, session: Session) -> None:
        if not isinstance(session, Session):
            raise InvalidInputError(
                f"{session!r} is not a session; SessionPanel takes a Session or Batch, and "
                "watch() also takes a session's id"
            )
        self._monitor = Monitor.of(session)
        snapshot = self._monitor.look_now(_LOOK_SECONDS)
        self._shown = snapshot
        self._heard: tuple[str, ...] = ()
        self._active: dict[str, list[str | None]] = {}
        self._views_are_counted = False
        self._saved = SavedOutputs(self)
        # A new panel is about to be looked at; no message says so while the cell runs.
        self._looked_at_until = time.monotonic() + _LOOK_LASTS_SECONDS
        self._room = 0
        self._make_room(snapshot.jobs)
        # The first message is complete, since the browser may draw before the next one.
        super().__init__(
            head=_head(snapshot),
            **{
                _page_name(at): job_columns.page(page.rows)
                for at, page in enumerate(snapshot.jobs.pages)
            },
            jobs=_jobs(snapshot),
            states=job_columns.state_bytes(snapshot.jobs),
            reasons=job_columns.reasons(snapshot.jobs),
            estimates=job_columns.estimates(snapshot.jobs),
            beat=_beat(snapshot),
            link=_link(snapshot),
            notice={"n": 0, "level": "info", "text": "", "command": ""},
            commands={"heard": [], "done": [], "active": []},
            # None would mean that views are not counted.
            _view_count=0,
        )
        self.on_msg(self._on_message)
        self.observe(lambda _change: self._on_view_count(), "_view_count")
        take_messages_on_any_shell(self)
        self._monitor.add(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # Unpickled, it is a panel of the same session. Its own class was created for its pages.
        return SessionPanel, (self.session,)

    @property
    def session(self) -> Session:
        """The session that the panel shows."""
        return self._monitor.session

    @property
    def looked_at(self) -> bool:
        """Whether it is on a screen, as far as the host or the view reports that."""
        return bool(self._view_count) or time.monotonic() < self._looked_at_until

    @property
    def drawn(self) -> bool:
        """Whether a page has drawn it, as far as its host reports that."""
        return bool(self._view_count)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self.comm is None

    def snapshot(self) -> Still:
        """Return the session as it is now, to keep: displayed, it stays in a saved notebook."""
        return Still(self.look())

    def look(self) -> Snapshot:
        """Return the session as it is now; as it was last seen if the service takes too long."""
        return self._monitor.look_now(_LOOK_SECONDS)

    def show(self, snapshot: Snapshot) -> None:
        """Send a snapshot to the browser. Only the monitor's thread may call this."""
        last, self._shown = self._shown, snapshot
        new_jobs = snapshot.jobs is not last.jobs
        if new_jobs:
            self._make_room(snapshot.jobs)
        with self.hold_sync():
            if new_jobs:
                for at, page in enumerate(snapshot.jobs.pages):
                    if at >= len(last.jobs.pages) or page is not last.jobs.pages[at]:
                        self.set_trait(_page_name(at), job_columns.page(page.rows))
                self.jobs = _jobs(snapshot)
                self.states = job_columns.state_bytes(snapshot.jobs)
                self.reasons = job_columns.reasons(snapshot.jobs)
                self.estimates = job_columns.estimates(snapshot.jobs)
            if new_jobs or _said(snapshot) != _said(last):
                self.head = _head(snapshot)
            self.link = _link(snapshot)
            self.beat = _beat(snapshot)
            self.commands = {
                "heard": list(self._heard),
                "done": self.commands["done"],
                "active": list(self._active.values()),
            }
        self._saved.renew_in_time(snapshot)

    def tell(self, notice: Notice) -> None:
        """Send the outcome of a command. Only the monitor's thread may call this."""
        self.notice = {
            "n": self.notice["n"] + 1,
            "level": notice.level,
            "text": notice.text,
            "command": notice.command,
        }
        if notice.ref is not None:
            self._active.pop(notice.ref, None)
            self.commands = {
                "heard": self.commands["heard"],
                "done": [*self.commands["done"], notice.ref][-_MOST_REFS:],
                "active": list(self._active.values()),
            }

    def answer(self, answer: dict[str, Any]) -> None:
        """Send the answer to a question of the browser. Only the monitor's thread may call this."""
        self.send(answer)

    def close(self) -> None:
        """Remove the panel from every screen. The session goes on."""
        # ipywidgets also closes a panel whose constructor raised, which has no monitor.
        monitor: Monitor | None = self.__dict__.get("_monitor")
        if monitor is not None:
            monitor.remove(self)
        super().close()

    def __repr__(self) -> str:
        return as_text(self._monitor.snapshot)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Display as the widget, with text and static HTML for hosts without widgets."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        # It is being displayed, and no message says so while the next cell runs.
        self._hold_look()
        expect_answer(lambda: SessionPanel._drawn)
        # The widget updates itself; the text and HTML that are saved beside it cannot.
        snapshot = self._monitor.look_now(_LOOK_SECONDS)
        data["text/plain"] = as_text(snapshot)
        data["text/html"] = as_html(snapshot)
        return data, metadata

    def _ipython_display_(self) -> None:
        """Display the panel in a notebook, so that what is saved of it is renewed until the end.

        Raises:
            NotImplementedError: outside of a kernel; IPython then displays its MIME bundle.
        """
        if shell() is None:
            raise NotImplementedError
        bundle = super()._repr_mimebundle_()
        if bundle is None:
            raise NotImplementedError
        self._hold_look()
        expect_answer(lambda: SessionPanel._drawn)
        self._saved.display(self.look(), *bundle)

    def _on_message(self, _widget: SessionPanel, content: Any, _buffers: Any) -> None:
        """Queue a command of the browser. This may be any thread, and must not wait."""
        ref = _ref(content)
        if ref is not None:
            self._heard = (*self._heard, ref)[-_MOST_REFS:]
        command = self._command(content, ref)
        if command is not None:
            if ref is not None:
                # Before it begins: its answer removes it.
                self._active[ref] = [content["do"], content.get("job_id")]
            command()
        elif not self._question(content):
            logger.warning("the panel received an unknown message: %.200r", content)

    def _command(self, content: object, ref: str | None) -> Callable[[], None] | None:
        """Return what passes a command to the monitor; None if the message is no command."""
        monitor = self._monitor
        send: Callable[[], None] | None = None
        match content:
            case {"do": "close"}:
                send = partial(monitor.close_session, ref)
            case {"do": "cancel"}:
                send = partial(monitor.cancel_session, ref)
            case {"do": "cancel_queued"}:
                send = partial(monitor.cancel_queued, ref)
            case {"do": "cancel_job", "job_id": str(job_id)}:
                send = partial(monitor.cancel_job, job_id, ref)
            case {"do": "cancel_jobs", "job_ids": list(job_ids)} if _are_texts(job_ids):
                send = partial(monitor.cancel_jobs, job_ids, ref)
            case {"do": "close_other", "session_id": str(session_id)}:
                send = partial(monitor.close_other, session_id, ref)
            case {"do": "start"}:
                send = partial(monitor.start_runtime, ref)
            case {"do": "advance", "seconds": int(seconds)} if not isinstance(seconds, bool):
                send = partial(monitor.advance_clock, seconds, ref)
        return send

    def _question(self, content: object) -> bool:
        """Handle a message that changes nothing on the service; return whether it is one."""
        match content:
            case {"do": "peek", "job_id": str(job_id)}:
                self._monitor.ask(self, lambda: self._peek(job_id))
            case {"do": "here"}:
                SessionPanel._drawn = True
                # At once, since some hosts forward only what is sent while a message is handled.
                self.send({"here": True})
            case {"do": "look"}:
                SessionPanel._drawn = True
                if not self.looked_at:
                    self._monitor.refresh()
                self._hold_look()
            case {"do": "renew"}:
                self._saved.kept = True
            case {"do": "refresh", "all": True}:
                self._send_all()
            case {"do": "refresh"}:
                self._monitor.refresh()
            case _:
                return False
        return True

    def _hold_look(self) -> None:
        """Assume for some time that the panel is being looked at."""
        counted = self._views_are_counted
        lasts = _LOOK_LASTS_SECONDS if counted else _UNCOUNTED_LOOK_LASTS_SECONDS
        self._looked_at_until = time.monotonic() + lasts

    def _on_view_count(self) -> None:
        self._views_are_counted = True
        self._hold_look()
        # A user who begins to look should see the present state.
        self._monitor.refresh()

    def _send_all(self) -> None:
        """Ask the service, and send everything from this thread, which sets no trait.

        For hosts that forward only what is sent while a message is handled (Colab): there the
        browser asks for this when no update has come for a while.
        """
        self._monitor.start()
        # The effect of commands is in the first snapshot after their answers.
        self._monitor.wait_for(lambda _: self._monitor.has_answered, _LOOK_SECONDS)
        before = self.beat["n"]
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
            # A result may hold anything. If it cannot be read, the panel says so beside the job.
            if not isinstance(error, QSessionError):
                logger.exception("job %r could not be shown", job_id)
            found = {"job_id": job_id, "error": f"{type(error).__name__}: {error}"[:LONGEST_TEXT]}
        return {"peek": without_secrets_in(found)}

    def _make_room(self, jobs: JobList) -> None:
        """Create a trait for each page, in growing batches, since each batch creates a class."""
        while self._room < len(jobs.pages):
            lot = max(self._room, _FIRST_PAGES)
            names = [_page_name(at) for at in range(self._room, self._room + lot)]
            self.add_traits(**{name: traitlets.Dict().tag(sync=True) for name in names})
            self._room += lot


def panel_of(session: Session) -> SessionPanel:
    """Return the panel as which a session is displayed: the same one until it is closed."""
    for listener in Monitor.of(session).listeners:
        if isinstance(listener, SessionPanel) and not listener.closed:
            return listener
    return SessionPanel(session)


def watch(session: Session | OfficialSession | str) -> SessionPanel:
    """Return a panel for a session, which may have been opened elsewhere.

    Args:
        session: a Session or Batch of ours or of qiskit-ibm-runtime, or the id of a session on the
            default service.

    Raises:
        InvalidInputError: `session` is of another type.
        NotFoundError: no session has this id.
    """
    return SessionPanel(find_session(session))


def _page_name(at: int) -> str:
    return f"page{at}"


def _ref(content: object) -> str | None:
    """Return the name that the browser gave to a command."""
    found = content.get("ref") if isinstance(content, dict) else None
    return found[:_LONGEST_REF] if isinstance(found, str) else None


def _are_texts(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _jobs(snapshot: Snapshot) -> dict[str, Any]:
    return {"count": len(snapshot.jobs), "page": PAGE_JOBS}


def _head(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "key": snapshot.key,
        "session_id": snapshot.session_id,
        "backend_name": snapshot.backend_name,
        "simulator": snapshot.simulator,
        "mode": known(snapshot.session.mode),
        "policy": snapshot.policy,
        "status": snapshot.status,
        "state": known(snapshot.session.state),
        "accepting_jobs": known(snapshot.session.accepting_jobs),
        "details": snapshot.details,
        "name": snapshot.name,
        "cell_id": snapshot.cell_id,
        "holder": _holder(snapshot),
        "gives_way": snapshot.gives_way,
        "total": snapshot.total,
        "ended_here": snapshot.ended_here,
        "position": snapshot.jobs.position,
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


def _said(snapshot: Snapshot) -> tuple[object, ...]:
    """Return what the head depends on beside the jobs."""
    return (
        snapshot.details,
        snapshot.name,
        snapshot.holder,
        snapshot.gives_way,
        snapshot.total,
        snapshot.ended_here,
        # It falls also while nothing happens.
        throughput(snapshot),
    )


def _holder(snapshot: Snapshot) -> dict[str, Any] | None:
    found = snapshot.holder
    return None if found is None else asdict(found) | {"until": milliseconds(found.until)}


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
        "cure": link.cure,
        "startable": link.startable,
    }
