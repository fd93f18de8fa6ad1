import { describe, expect, test } from "vitest";
import { page } from "vitest/browser";
import { draw } from "./draw";
import { jobTraits, live, MIXED, manyJobs } from "./fixtures";

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
  test("has the newest job first, with its state", () => {
    const { element } = draw(live());
    expect(rows(element)).toEqual(MIXED.map(({ id }) => id).reverse());
    const states = element.querySelectorAll<HTMLElement>("[data-job-id]");
    expect(Array.from(states, ({ dataset }) => dataset.status)).toEqual(
      MIXED.map(({ status }) => status).reverse(),
    );
    expect(states[0]?.textContent).toContain("waiting 3.2 s");
  });

  test("is a table for those who cannot see it", async () => {
    draw(live());
    await expect.element(page.getByRole("table")).toHaveAttribute("aria-rowcount", "8");
    await expect.element(page.getByRole("columnheader", { name: "Duration" })).toBeVisible();
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

  test("opens one reason at a time", async () => {
    const { element } = draw(live());
    const buttons = page.getByTestId("qsw-reason-button");
    await buttons.last().click();
    const reason = page.getByRole("region", { name: "Reason" });
    await expect.element(reason).toHaveTextContent("Transpile it for this backend");
    await buttons.first().click();
    await expect.element(reason).toHaveTextContent("Cancelled by its owner.");
    expect(element.querySelectorAll(".qsw-reason")).toHaveLength(1);
    await buttons.first().click();
    await expect.element(reason).not.toBeInTheDocument();
  });

  test("bears columns that lag behind", async () => {
    const { model, element } = draw(live(jobTraits(MIXED.slice(0, 5))));
    model.receive({ jobs: jobTraits(MIXED).jobs });
    await expect.poll(() => rows(element)).toHaveLength(7);
    expect(element.querySelectorAll("[data-status=unknown]")).toHaveLength(2);
    model.receive(jobTraits(MIXED));
    await expect.poll(() => element.querySelectorAll("[data-status=queued]")).toHaveLength(2);
  });

  test("keeps all columns within a narrow panel", async () => {
    const { element } = draw(live());
    element.style.width = "320px";
    await page.getByTestId("qsw-reason-button").last().click();
    const panel = element.querySelector(".qsw-panel")?.getBoundingClientRect();
    for (const part of element.querySelectorAll(".qsw-table, .qsw-reason, .qsw-button")) {
      expect(part.getBoundingClientRect().right).toBeLessThanOrEqual(panel?.right ?? 0);
    }
  });
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

  test("do not move under the reader when new ones come", async () => {
    const { model, element } = draw(many());
    const table = scroller(element);
    table.scrollTop = 28 * 1000;
    await expect.poll(() => rows(element)).toContain("job-08999");
    const place = () =>
      element.querySelector("[data-job-id=job-08995]")?.getBoundingClientRect().top;
    const before = place();
    model.receive(jobTraits(manyJobs(COUNT + 7)));
    await expect.poll(() => table.scrollTop).toBe(28 * 1007);
    await expect.poll(place).toBe(before);
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
    // Ten thousand rows are drawn as twenty: what one update touches is bounded by those.
    expect(changed.length).toBeGreaterThan(0);
    expect(Math.max(...changed)).toBeLessThan(400);
  });
});
