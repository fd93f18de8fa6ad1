import { describe, expect, test } from "vitest";
import { page, userEvent } from "vitest/browser";
import { draw } from "./draw";
import { jobTraits, live, loopJobs, MIXED, manyJobs, peek } from "./fixtures";

const cancelJobs = page.getByTestId("qsw-cancel-job");

function rows(element: HTMLElement): (string | undefined)[] {
  const found = element.querySelectorAll<HTMLElement>("[data-job-id]");
  return Array.from(found, ({ dataset }) => dataset.jobId);
}

function scroller(element: HTMLElement): HTMLElement {
  const found = element.querySelector<HTMLElement>(".qsw-scroller");
  if (!found) {
    throw new Error("no table");
  }
  return found;
}

describe("the table", () => {
  test("shows under each heading what it says", async () => {
    const { element } = draw(live());
    const headings = [...element.querySelectorAll("thead th")].map((each) => each.textContent);
    const cells = (id: RegExp) => {
      const row = page.getByRole("row", { name: id }).element();
      const texts = [...row.children].map((each) => each.textContent);
      return Object.fromEntries(headings.map((heading, at) => [heading, texts[at]]));
    };
    // One that waits has not run.
    expect(cells(/r0g7/)).toMatchObject({ Waited: "3.2 s", Ran: "–", Result: "sampler" });
    expect(cells(/r0e5/)).toMatchObject({ Waited: "3.1 s", Ran: "38.9 s" });
    expect(cells(/r0d4/)).toMatchObject({ Waited: "–", Ran: "–" });
    expect(cells(/r0a1/)).toMatchObject({ Waited: "0.80 s", Ran: "4.2 s" });
  });

  test("has the newest job first, with its state", async () => {
    const { element } = draw(live());
    expect(rows(element)).toEqual(MIXED.map(({ id }) => id).reverse());
    const states = element.querySelectorAll<HTMLElement>("[data-job-id]");
    expect(Array.from(states, ({ dataset }) => dataset.status)).toEqual(
      MIXED.map(({ status }) => status).reverse(),
    );
    await expect.element(page.getByText("#2")).toBeVisible();
  });

  test("is a table for those who cannot see it", async () => {
    draw(live());
    await expect.element(page.getByRole("table")).toHaveAttribute("aria-rowcount", "8");
    await expect.element(page.getByRole("columnheader", { name: "Ran" })).toBeVisible();
    await expect
      .element(page.getByRole("button", { name: `Cancel job ${MIXED[6]?.id}` }))
      .toBeVisible();
  });

  test("cancels one job and waits for the answer", async () => {
    const { model, element } = draw(live());
    await cancelJobs.first().click();
    expect(model.sent).toEqual([{ do: "cancel_job", job_id: MIXED[6]?.id }]);
    await expect.element(cancelJobs.first()).toBeDisabled();
    await expect.element(cancelJobs.nth(1)).toBeEnabled();
    expect(document.activeElement).toBe(scroller(element));
    model.receive(
      jobTraits(MIXED.map((job, i) => (i === 6 ? { ...job, status: "cancelled" } : job))),
    );
    await expect.poll(() => cancelJobs.elements().length).toBe(2);
  });

  test("opens one job at a time", async () => {
    const { model, element } = draw(live());
    const buttons = page.getByTestId("qsw-reason-button");
    await buttons.last().click();
    const reason = page.getByTestId("qsw-reason");
    await expect.element(reason).toHaveTextContent("Transpile it for this backend");
    await buttons.first().click();
    await expect.element(reason).toHaveTextContent("Cancelled by its owner.");
    expect(element.querySelectorAll(".qsw-detail")).toHaveLength(1);
    await buttons.first().click();
    await expect.element(reason).not.toBeInTheDocument();
    await expect
      .poll(() => model.sent)
      .toEqual([
        { do: "peek", job_id: MIXED[1]?.id },
        { do: "peek", job_id: MIXED[3]?.id },
      ]);
  });

  test("bears pages that lag behind", async () => {
    const { model, element } = draw(live(jobTraits(MIXED.slice(0, 5))));
    model.receive({ jobs: jobTraits(MIXED).jobs });
    await expect.poll(() => rows(element)).toHaveLength(7);
    expect(element.querySelectorAll("[data-status=unknown]")).toHaveLength(2);
    model.receive(jobTraits(MIXED));
    await expect.poll(() => element.querySelectorAll("[data-status=queued]")).toHaveLength(2);
  });

  test("is sorted by its headings", async () => {
    const { element } = draw(live());
    await page.getByTestId("qsw-sort-running").click();
    expect(rows(element)[0]).toBe(MIXED[2]?.id);
    const heading = page.getByRole("columnheader", { name: "Ran" });
    await expect.element(heading).toHaveAttribute("aria-sort", "descending");
    await page.getByTestId("qsw-sort-running").click();
    await expect.element(heading).toHaveAttribute("aria-sort", "ascending");
    expect(rows(element)[0]).toBe(MIXED[1]?.id);
  });

  test("is filtered by status and by text", async () => {
    const { element } = draw(live());
    await page.getByTestId("qsw-filter-status").selectOptions("queued");
    await expect.poll(() => rows(element)).toEqual([MIXED[6]?.id, MIXED[5]?.id]);
    await expect.element(page.getByTestId("qsw-shown")).toHaveTextContent("2 of 7");
    await page.getByTestId("qsw-filter-text").fill("r0f");
    await expect.poll(() => rows(element)).toEqual([MIXED[5]?.id]);
    await page.getByTestId("qsw-filter-text").fill("nothing like this");
    await expect.poll(() => rows(element)).toEqual([]);
  });

  test("cancels what is selected, after a question", async () => {
    const { model } = draw(live());
    const cancelSelected = page.getByTestId("qsw-cancel-selected");
    await expect.element(cancelSelected).not.toBeInTheDocument();
    await page.getByLabelText("Select all jobs that have not ended").click();
    await expect.element(cancelSelected).toHaveTextContent("Cancel selected (3)");
    await page.getByLabelText(`Select job ${MIXED[4]?.id}`).click();
    await cancelSelected.click();
    await expect.element(page.getByText("2 jobs are cancelled, also if running")).toBeVisible();
    expect(model.sent).toEqual([]);
    await page.getByTestId("qsw-confirm").click();
    expect(model.sent).toEqual([{ do: "cancel_jobs", job_ids: [MIXED[6]?.id, MIXED[5]?.id] }]);
    // Finished jobs are no longer selected.
    model.receive(
      jobTraits(MIXED.map((job, i) => (i >= 5 ? { ...job, status: "cancelled" } : job))),
    );
    await expect.element(cancelSelected).not.toBeInTheDocument();
  });

  test("shows the result of a job that is opened", async () => {
    const { model } = draw(live());
    const open = page.getByRole("button", { name: `Job ${MIXED[2]?.id}`, exact: true });
    await open.click();
    await expect.element(page.getByText("Fetching…")).toBeVisible();
    await expect.poll(() => model.sent).toEqual([{ do: "peek", job_id: MIXED[2]?.id }]);
    model.emit("msg:custom", { peek: { job_id: "of another view" } });
    model.emit("msg:custom", peek());
    const detail = page.getByRole("region", { name: `Job ${MIXED[2]?.id}` });
    await expect.element(detail).toHaveTextContent(/Pub 0: meas, 4,096 shots.*002014.*111930/);
    await expect.element(detail).toHaveTextContent("evs[0]-1.8573 ± 0.0200");
    await expect.element(detail).toHaveTextContent("evs[2]–");
    await expect
      .element(detail)
      .toHaveTextContent("Circuit: bell, 2 qubits, depth 3, 1 two-qubit gate");
    expect(detail.element().querySelector("pre")?.textContent).toContain("┤ H ├");
    await expect.element(detail).toHaveTextContent(/^queued2.5 sran1 min 15 sdone\d/);
    await expect.element(detail).toHaveTextContent("and 3 more");
    await expect.element(detail).toHaveTextContent("default_shots4096");
    await expect.element(detail).toHaveTextContent(peek().peek.code ?? "");
    await open.click();
    await expect.element(detail).not.toBeInTheDocument();
  });

  test("says what a job that cannot be read is", async () => {
    const { model } = draw(live());
    await page.getByTestId("qsw-open").first().click();
    await expect.poll(() => model.sent).toHaveLength(1);
    model.emit("msg:custom", peek({ job_id: MIXED[6]?.id ?? "", notes: ["Its result is large."] }));
    await expect.element(page.getByText("Its result is large.")).toBeVisible();
    model.emit("msg:custom", { peek: { job_id: MIXED[6]?.id, error: "404 Not Found" } });
    await expect.element(page.getByText(/could not be read: 404 Not Found/)).toBeVisible();
    for (const message of [null, 5, {}, { peek: null }, { peek: { job_id: 3 } }]) {
      model.emit("msg:custom", message);
    }
    await expect.element(page.getByText(/404 Not Found/)).toBeVisible();
  });

  test("is walked through by keys", async () => {
    const { element } = draw(live());
    const open = page.getByTestId("qsw-open");
    (open.first().element() as HTMLElement).focus();
    await userEvent.keyboard("{ArrowDown}{ArrowDown}");
    await expect.element(open.nth(2)).toHaveFocus();
    await userEvent.keyboard("{End}");
    await expect.element(open.last()).toHaveFocus();
    await userEvent.keyboard("{ArrowDown}{ArrowUp}{Enter}");
    expect(element.querySelector(".qsw-detail")?.ariaLabel).toBe(`Job ${MIXED[1]?.id}`);
    await userEvent.keyboard("{Home}");
    await expect.element(open.first()).toHaveFocus();
  });

  test.each([230, 320, 400, 570, 600, 690, 830, 1010])("has its ids at %i px", (width) => {
    const { element } = draw(live());
    element.style.width = `${width}px`;
    const id = element.querySelector(".qsw-tail");
    const cell = element.querySelector("td.qsw-id")?.getBoundingClientRect();
    expect(id?.getBoundingClientRect().width).toBeGreaterThan(40);
    expect(id?.getBoundingClientRect().right).toBeLessThanOrEqual((cell?.right ?? 0) + 1);
  });

  test.each([230, 320])("keeps all columns within a panel of %i px", async (width) => {
    const { element } = draw(live());
    element.style.width = `${width}px`;
    await page.getByTestId("qsw-open").nth(5).click();
    const panel = element.querySelector(".qsw-panel")?.getBoundingClientRect();
    for (const part of element.querySelectorAll(
      ".qsw-table, .qsw-detail, .qsw-button, .qsw-more, .qsw-figure-box, .qsw-tally > span",
    )) {
      expect(part.getBoundingClientRect().right).toBeLessThanOrEqual(panel?.right ?? 0);
    }
  });
});

describe("new jobs", () => {
  const more = (count: number) => jobTraits(loopJobs(count));

  test("come in at the top, and move no row", async () => {
    const { model, element } = draw(live(more(30)));
    const first = element.querySelector(".qsw-row");
    model.receive(more(31));
    await expect.poll(() => rows(element)[0]).toBe(loopJobs(31).at(-1)?.id);
    expect(element.querySelector(".qsw-row")).toBe(first);
  });

  test("wait while a row has the focus or is open, and say so", async () => {
    const { model, element } = draw(live(more(30)));
    const before = rows(element);
    const open = page.getByTestId("qsw-open");
    (open.nth(1).element() as HTMLElement).focus();
    model.receive(more(32));
    await expect.element(page.getByTestId("qsw-fresh")).toHaveTextContent("2 new");
    expect(rows(element)).toEqual(before);
    await open.nth(1).click();
    (document.activeElement as HTMLElement).blur();
    model.receive(more(33));
    await expect.element(page.getByTestId("qsw-fresh")).toHaveTextContent("3 new");
    expect(element.querySelector(".qsw-detail")?.ariaLabel).toBe(`Job ${before[1]}`);
    await page.getByTestId("qsw-fresh").click();
    await expect.poll(() => rows(element)[0]).toBe(loopJobs(33).at(-1)?.id);
  });

  test("show the value or the outcomes of those that have ended", async () => {
    const { element } = draw(live(more(40)));
    const cells = element.querySelectorAll("[data-testid=qsw-outcome]");
    const texts = Array.from(cells, (cell) => cell.textContent);
    expect(texts[0]).toBe("estimator, 1 pub");
    expect(texts[1]).toMatch(/^\u22121\.\d{3} ± 0\.004$/);
    expect(texts[2]).toBe("00: 51 % · 11: 47 %");
    expect(cells[2]?.querySelectorAll("rect")).toHaveLength(4);
  });
});

test("columns for selecting and cancelling are there only where something can be", async () => {
  const ended = MIXED.slice(0, 4);
  const { model, element } = draw(live(jobTraits(ended)));
  const columns = () => element.querySelectorAll("th").length;
  const without = columns();
  expect(element.querySelector("th.qsw-cancel, th.qsw-check")).toBeNull();
  model.receive(jobTraits(MIXED));
  await expect.poll(columns).toBe(without + 2);
});

describe("10,000 jobs", () => {
  const COUNT = 10_000;
  const many = () => live(jobTraits(manyJobs(COUNT)));

  test("have few rows in the page, wherever one looks", async () => {
    const { element } = draw(many());
    const table = scroller(element);
    expect(rows(element)[0]).toBe("job-09999");
    table.scrollTop = table.scrollHeight;
    await expect.poll(() => rows(element).at(-1)).toBe("job-00000");
    table.scrollTop = table.scrollHeight / 2;
    await expect.poll(() => rows(element)).toContain("job-05000");
    expect(rows(element).length).toBeLessThan(20);
    const view = table.getBoundingClientRect();
    const drawn = Array.from(element.querySelectorAll(".qsw-row"), (row) =>
      row.getBoundingClientRect(),
    );
    expect(drawn[0]?.top).toBeLessThan(view.top);
    expect(drawn.at(-1)?.bottom).toBeGreaterThan(view.bottom);
  });

  test("are walked through by keys, far beyond the rows in the page", async () => {
    const { element } = draw(many());
    (page.getByTestId("qsw-open").first().element() as HTMLElement).focus();
    const focused = () => document.activeElement?.closest<HTMLElement>("[data-job-id]")?.dataset;
    await userEvent.keyboard("{End}");
    await expect.poll(() => focused()?.jobId).toBe("job-00000");
    await userEvent.keyboard("{PageUp}");
    await expect.poll(() => focused()?.jobId).toBe("job-00010");
    expect(rows(element).length).toBeLessThan(20);
  });

  test("do not move under the reader when new ones come", async () => {
    const { model, element } = draw(many());
    const table = scroller(element);
    table.scrollTop = 28 * 1000;
    await expect.poll(() => rows(element)).toContain("job-08999");
    const place = () =>
      element.querySelector("[data-job-id=job-08995]")?.getBoundingClientRect().top;
    const before = place();
    model.receive(jobTraits(manyJobs(COUNT + 7)));
    const fresh = page.getByTestId("qsw-fresh");
    await expect.element(fresh).toHaveTextContent("7 new");
    expect(place()).toBe(before);
    await fresh.click();
    await expect.poll(() => rows(element)[0]).toBe("job-10006");
    await expect.element(fresh).not.toBeInTheDocument();
  });

  test("cost the same few changes of the page, however many there are", async () => {
    const { model, element } = draw(many());
    const changed: number[] = [];
    const observer = new MutationObserver((records) => changed.push(records.length));
    observer.observe(element, {
      subtree: true,
      childList: true,
      characterData: true,
      attributes: true,
    });
    for (let round = 0; round < 10; round++) {
      const states = new DataView(new ArrayBuffer(COUNT));
      states.setUint8(COUNT - 1, round % 5);
      model.receive({ states });
      model.beat();
      await new Promise(requestAnimationFrame);
    }
    observer.disconnect();
    // Of ten thousand rows, twenty are drawn, which limits what one update touches.
    expect(changed.length).toBeGreaterThan(0);
    expect(Math.max(...changed)).toBeLessThan(400);
  });
});
