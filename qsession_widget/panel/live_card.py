"""A job at the end of a cell while it goes on: a card that follows the job and can cancel it.

When the job ends, the output becomes plain HTML: a saved notebook needs no widget to show it.
`js/src/card/card.ts` is the other side of this file.
"""

from __future__ import annotations

import logging
import threading
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from qsession_widget.errors import QSessionError
from qsession_widget.monitoring.job_row import JobRow
from qsession_widget.monitoring.redaction import without_secrets
from qsession_widget.panel.front_end import FRONT_END, STATIC, take_messages_on_any_shell
from qsession_widget.panel.job_card import as_html, as_text, card_of
from qsession_widget.panel.saved_output import PANEL_MIME, shell
from qsession_widget.support import forking
from qsession_widget.transport.http import unattended

if TYPE_CHECKING:
    from qsession_widget.client.jobs.job import RuntimeJob
    from qsession_widget.panel.job_card import Card

logger = logging.getLogger(__name__)

MOST_LIVE = 16
"""How many cards follow their jobs at the same time. Another one stays as it was made."""

_MOST_OUTPUTS = 4
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, _PAUSE_GROWTH = 0.5, 5.0, 1.5


@unattended()
def display(job: RuntimeJob) -> bool:
    """Display a job as a card that follows it, in the cell that runs.

    Returns:
        False if nothing was displayed: outside of a kernel, for a job that is final, and where many
        cards follow their jobs already.

    Raises:
        QSessionError: the service does not answer.
    """
    if shell() is None or job.in_final_state():
        return False
    return _follower.display(job)


class LiveCard(anywidget.AnyWidget):
    """The card of an unfinished job. One thread, that of all cards, sets its traits.

    Args:
        job: the job.
        card: what is known of it.
    """

    _esm = STATIC / "card.js"
    _css = STATIC / "card.css"
    _model_module_version = traitlets.Unicode(FRONT_END).tag(sync=True)
    _view_module_version = traitlets.Unicode(FRONT_END).tag(sync=True)

    picture = traitlets.Unicode().tag(sync=True)
    """The card as HTML, with all text from the service escaped."""

    def __init__(self, job: RuntimeJob, card: Card) -> None:
        self.job = job
        self.over = False
        self._card = card
        self._cancels = False
        self._outputs: list[str] = []
        super().__init__(picture=as_html(card))
        self.on_msg(self._on_message)
        take_messages_on_any_shell(self)

    def publish(self) -> None:
        """Display it in the cell that runs."""
        bundle = super()._repr_mimebundle_()
        if bundle is not None:
            data, metadata = bundle
            name = uuid.uuid4().hex
            self._outputs = [*self._outputs, name][-_MOST_OUTPUTS:]
            self._draw_in(name, {**data, PANEL_MIME: {"version": 1}}, metadata, update=False)

    @unattended()
    def look(self) -> bool:
        """Ask for the job, and return whether it has changed; at its end the card is replaced."""
        if self._cancels:
            self._cancels = False
            self._cancel()
        self.job.status()
        row = JobRow.of(
            self.job.document, contents=self.job.service.contents.get(self.job.job_id())
        )
        before = self._card.row
        changed = (row.state, row.stages) != (before.state, before.stages)
        if changed:
            self._card = card_of(self.job)
        else:
            now = max(self._card.now, self.job.service.server_time())
            self._card = replace(self._card, row=row, now=now)
        if self._card.row.final:
            self._end()
        else:
            self.picture = as_html(self._card)
        return changed

    def _end(self) -> None:
        self.over = True
        for name in self._outputs:
            self._draw_in(name, {}, {}, update=True)
        self.close()

    def _draw_in(
        self, name: str, data: dict[str, Any], metadata: dict[str, Any], *, update: bool
    ) -> None:
        found = shell()
        if found is not None:
            found.display_pub.publish(
                {**data, "text/plain": as_text(self._card), "text/html": as_html(self._card)},
                metadata,
                transient={"display_id": name},
                update=update,
            )

    def _cancel(self) -> None:
        try:
            self.job.cancel()
        except QSessionError as error:
            self.send({"error": without_secrets(str(error))})

    def _on_message(self, _widget: LiveCard, content: Any, _buffers: Any) -> None:
        """Answer the browser at once, and leave the rest to the thread."""
        match content:
            case {"do": "here"}:
                self.send({"here": True})
            case {"do": "cancel"}:
                self._cancels = True
                self.send({"heard": True})
                _follower.wake()
            case _:
                logger.warning("a job's card received an unknown message: %.200r", content)


class _Follower:
    """Asks for the jobs of all live cards, in one thread that ends with the last of them."""

    def __init__(self) -> None:
        self._lock = forking.Lock()
        self._begin()
        forking.heed(self)

    def _begin(self) -> None:
        self._cards: list[LiveCard] = []
        self._woken = threading.Event()
        self._runs = False

    def after_fork(self) -> None:
        """Forget the cards in a forked child: they are the parent's."""
        self._begin()

    def wake(self) -> None:
        """Let the thread ask now."""
        self._woken.set()

    def display(self, job: RuntimeJob) -> bool:
        """Display a job's card, and follow the job; return whether there is room for that."""
        with self._lock:
            same = [each for each in self._cards if each.job is job and not each.over]
            if not same and len(self._cards) >= MOST_LIVE:
                return False
        card = same[0] if same else LiveCard(job, card_of(job))
        card.publish()
        if not same:
            with self._lock:
                self._cards.append(card)
                starts, self._runs = not self._runs, True
            if starts:
                threading.Thread(target=self._follow, name="qsession-cards", daemon=True).start()
        self.wake()
        return True

    def _follow(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            with self._lock:
                self._cards = [each for each in self._cards if not each.over]
                cards = list(self._cards)
                if not cards:
                    self._runs = False
                    return
            changed = [card for card in cards if self._look(card)]
            grown = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE_SECONDS)
            pause = _FIRST_PAUSE_SECONDS if changed or self._woken.is_set() else grown
            self._woken.wait(pause)
            self._woken.clear()

    @staticmethod
    def _look(card: LiveCard) -> bool:
        try:
            return card.look()
        except QSessionError as error:
            # The service may answer again; the job goes on meanwhile.
            logger.info("job %s could not be asked for: %s", card.job.job_id(), error)
            card.over = card.job.service.closed
        except Exception:
            logger.exception("the card of job %s is no longer renewed", card.job.job_id())
            card.over = True
        return False


_follower = _Follower()
