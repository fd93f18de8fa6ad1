"""What the panel costs with 10, 1,000 and 10,000 jobs, from the trait to the page, in Chromium.

The panel is a real one on a local runtime. What it sends to the browser is recorded, and given to
the view as it is built, message by message: bytes and milliseconds in Python for each update, the
time to the first picture, the script's time for each update, and the tasks that are longer than 50
milliseconds, which a person may notice ("long tasks").
"""

from __future__ import annotations

import base64
import json
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import comm
from comm.base_comm import BaseComm
from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.table import Table

import qsession_widget
from benchmarks.measure import arguments, own_runtime, write
from qsession_widget import Session, SessionPanel
from qsession_widget.monitoring.job_list import JobTable
from qsession_widget.monitoring.job_row import JobRow, Stages
from tests.browser import chromium

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

    from qsession_widget.monitoring.snapshot import Snapshot

COUNTS = (10, 1_000, 10_000)
UPDATES, SHORT_UPDATES = 60, 15
STATIC = Path(qsession_widget.__file__).parent / "panel" / "static"
BEGIN = datetime.now(UTC) - timedelta(hours=1)

PAGE = """
<!doctype html><link rel="stylesheet" href="widget.css"><div id="panel"></div>
<script type="module">
import widget from "./widget.js";
const traits = {}, listeners = new Map();
globalThis.long = [];
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) long.push(duration);
}).observe({ type: "longtask" });
const bytes = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
const model = {
  get: (name) => traits[name],
  on: (event, callback) =>
    listeners.set(event, (listeners.get(event) ?? new Set()).add(callback)),
  off: (event, callback) => listeners.get(event)?.delete(callback),
  send() {},
};
const frames = async () => {
  for (let n = 0; n < 2; n++) await new Promise(requestAnimationFrame);
};
const take = (text, states) => {
  const changes = JSON.parse(text);
  if (states !== null) changes.states = bytes(states);
  Object.assign(traits, changes);
  return Object.keys(changes);
};
globalThis.first = async (text, states) => {
  const began = performance.now();
  take(text, states);
  widget.render({ model, el: document.querySelector("#panel") });
  await frames();
  return performance.now() - began;
};
globalThis.update = async (text, states) => {
  for (const name of take(text, states)) {
    for (const callback of listeners.get(`change:${name}`) ?? []) callback();
  }
  await frames();
};
globalThis.act = async (selector, act) => {
  const began = performance.now();
  act(document.querySelector(selector));
  await frames();
  return performance.now() - began;
};
globalThis.ready = true;
</script>
"""

ACTS = {
    "sort": ("[data-testid=qsw-sort-running]", "(button) => button.click()"),
    "filter": (
        "[data-testid=qsw-filter-text]",
        "(input) => { input.value = 'r0a'; input.dispatchEvent(new Event('input')); }",
    ),
    "scroll": (".qsw-scroller", "(table) => { table.scrollTop = table.scrollHeight / 2; }"),
}

Sent = tuple[str, str | None]
"""A message: JSON, and the states in Base64 if they are among it."""


def record() -> list[Sent]:
    """Make every widget of this process send into a list."""
    sent: list[Sent] = []

    class Recording(BaseComm):
        def publish_msg(
            self,
            msg_type: str,
            data: dict[str, Any] | None = None,
            metadata: dict[str, Any] | None = None,
            buffers: list[bytes] | None = None,
            **keys: Any,
        ) -> None:
            del msg_type, metadata, keys
            state = (data or {}).get("state")
            if state:
                coded = base64.b64encode(buffers[0]).decode() if buffers else None
                sent.append((json.dumps(state), coded))

    comm.create_comm = Recording
    return sent


def row(at: int, count: int) -> JobRow:
    """Return a job of a busy session: half of them have ended, one runs, the rest wait."""
    created = BEGIN + timedelta(seconds=at / 10)
    waits = JobRow(f"d4h{at:05d}s0v6qs73a8r0a1", "sampler", "Queued", created, pubs=1)
    if at > count // 2:
        return waits
    begun = [created + timedelta(seconds=seconds) for seconds in (2.345, 2.789, 5.432)]
    started = replace(waits, state="Running", started_at=begun[0], sub_status="on_device")
    if at == count // 2:
        return replace(started, stages=Stages(*begun[:2]))
    ended_at = created + timedelta(seconds=5.678)
    stages = Stages(*begun)
    return replace(started, state="Completed", sub_status=None, stages=stages, ended_at=ended_at)


def measure(page: Page, address: str, count: int, updates: int) -> dict[str, Any]:
    """Take the figures for one number of jobs, in a page at an address."""
    sent = record()
    panel = SessionPanel(Session(backend="fake_manila", max_time=600))
    # From here on only this function writes to it.
    panel._monitor.remove(panel)  # noqa: SLF001 - as the monitor does when the panel is closed
    table = JobTable()
    for at in range(count):
        table.put(row(at, count))
    # What the panel was given last has everything but the jobs.
    snapshot = replace(panel._shown, jobs=table.listed(), now=datetime.now(UTC))  # noqa: SLF001 - the panel takes its snapshots from a service only
    panel.show(snapshot)
    state = panel.get_state()
    coded = base64.b64encode(bytes(state.pop("states"))).decode()
    view = {name: value for name, value in state.items() if not name.startswith("_")}
    page.goto(address)
    page.wait_for_function("globalThis.ready")
    first = page.evaluate("(a) => first(...a)", [json.dumps(view), coded])
    client = page.context.new_cdp_session(page)
    client.send("Performance.enable")
    before = _spent(client)
    bytes_each, python_ms = [], []
    for number in range(updates):
        del sent[:]
        snapshot = _next(snapshot, table, count // 2 + number)
        began = time.perf_counter()
        panel.show(snapshot)
        python_ms.append((time.perf_counter() - began) * 1000)
        bytes_each.append(sum(len(text) + len(states or "") * 3 // 4 for text, states in sent))
        for text, states in sent:
            page.evaluate("(a) => update(...a)", [text, states])
    after = _spent(client)
    found = {
        "jobs": count,
        "first_picture_ms": first,
        "first_kb": (len(json.dumps(view)) + len(coded) * 3 / 4) / 1000,
        "largest_update_bytes": max(bytes_each),
        "update_python_ms": median(python_ms),
        "update_script_ms": (after["ScriptDuration"] - before["ScriptDuration"]) / updates * 1000,
        "update_all_ms": (after["TaskDuration"] - before["TaskDuration"]) / updates * 1000,
    }
    for name, (selector, act) in ACTS.items():
        found[f"{name}_ms"] = page.evaluate(f"(s) => act(s, {act})", selector)
    found["rows_in_the_page"] = page.locator("[data-job-id]").count()
    long = page.evaluate("() => long")
    found["long_tasks"] = len(long)
    found["longest_task_ms"] = max(long, default=0)
    panel.session.cancel()
    return found


def _spent(client: CDPSession) -> dict[str, float]:
    """Return the seconds that the page has taken so far, by kind."""
    metrics = client.send("Performance.getMetrics")["metrics"]
    return {each["name"]: each["value"] for each in metrics}


def _next(snapshot: Snapshot, table: JobTable, at: int) -> Snapshot:
    """Have the running job end, and the next one start."""
    now = datetime.now(UTC)
    if at + 1 < len(table):
        ended, begun = snapshot.jobs[at : at + 2]
        table.put(replace(ended, state="Completed", sub_status=None, ended_at=now))
        table.put(replace(begun, state="Running", started_at=now, sub_status="preparing"))
    return replace(snapshot, jobs=table.listed(), now=now, beat=snapshot.beat + 1)


def main() -> None:
    """Measure, print a table, and write the figures if a file is named."""
    options = arguments(__doc__.partition("\n")[0]).parse_args()
    found_chromium = chromium.find()
    if found_chromium is None:
        print("The panel in Chromium: skipped, since there is none; `make chromium` installs one.")
        return
    updates = SHORT_UPDATES if options.short else UPDATES
    with own_runtime() as folder, sync_playwright() as playwright:
        page_file = Path(shutil.copytree(STATIC, folder / "page")) / "panel.html"
        page_file.write_text(PAGE)
        browser = playwright.chromium.launch(
            executable_path=found_chromium,
            args=["--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"],
        )
        found = []
        # The first one is for the browser, which has just started.
        for count in (COUNTS[0], *COUNTS):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            found.append(measure(page, page_file.as_uri(), count, updates))
            page.close()
        browser.close()
    del found[0]
    table = Table(title=f"The panel in Chromium, anywidget {version('anywidget')}")
    table.add_column("")
    for figures in found:
        table.add_column(f"{figures['jobs']:,} jobs", justify="right")
    for name in list(found[0])[1:]:
        table.add_row(name.replace("_", " "), *(f"{figures[name]:,.1f}" for figures in found))
    Console(width=110).print(table)
    write(options.json, found)


if __name__ == "__main__":
    main()
