import { expect, onTestFinished, test } from "vitest";
import { page } from "vitest/browser";
import { draw } from "./draw";
import { head, jobTraits, live, loopJobs } from "./fixtures";

/** What the browser reports of things that moved by themselves. */
function shifts(): { seen: () => string[] } {
  const found: string[] = [];
  const take = (entries: PerformanceEntryList) => {
    for (const entry of entries) {
      const { sources } = entry as unknown as { sources: readonly { node: Node | null }[] };
      found.push(
        ...sources.map(({ node }) => `${node?.nodeName}: ${node?.textContent}`.slice(0, 200)),
      );
    }
  };
  const observer = new PerformanceObserver((list) => take(list.getEntries()));
  observer.observe({ type: "layout-shift" });
  onTestFinished(() => observer.disconnect());
  return {
    seen: () => {
      take(observer.takeRecords());
      return found;
    },
  };
}

const frame = () => new Promise(requestAnimationFrame);

const SENTENCES = [
  ["A job runs since ", Date.now(), "; usage goes on."],
  ["7 jobs a second, ahead of the normal queue; usage goes on."],
  [
    "The last job ended at ",
    Date.now(),
    "; without another one the session goes idle at ",
    Date.now() + 60_000,
    ", and usage goes on until then, which is a long sentence that would need a second line.",
  ],
] as const;

test.each([960, 400, 300])("nothing moves in a loop of 200 jobs at %i px", async (width) => {
  const { model, element } = draw(live({ ...jobTraits([]), head: head({ total: 400 }) }));
  element.style.width = `${width}px`;
  const below = document.body.appendChild(document.createElement("p"));
  below.textContent = "The next cell of the notebook";
  onTestFinished(() => below.remove());
  await frame();
  await frame();
  const { seen } = shifts();
  for (let count = 1; count <= 200; count++) {
    const parts = SENTENCES[count % 3] ?? [];
    const why = { parts, fields: ["state"], document: "https://example.com/" };
    // Each second snapshot falls between two jobs, when the session is idle.
    const jobs = loopJobs(count).map((job) =>
      count % 2 === 0 && job.status === "running"
        ? ({ ...job, status: "completed", ran: 0.1, summary: [-1.85 / count, 0.0043] } as const)
        : job,
    );
    model.receive({ ...jobTraits(jobs), head: head({ why, total: 400 }) });
    model.beat();
    await frame();
  }
  await expect.element(page.getByTestId("qsw-progress")).toHaveTextContent("200 of 400");
  await frame();
  expect(seen()).toEqual([]);
  // The browser does report what moves.
  below.style.marginTop = "40px";
  await frame();
  await frame();
  expect(seen().join()).toContain("The next cell");
});

test("the sentence changes once a second, whatever happens", async () => {
  const { model, element } = draw(live(jobTraits(loopJobs(3))));
  const why = (text: string) => ({
    head: head({ why: { parts: [text], fields: [], document: "" } }),
  });
  const changes: string[] = [];
  const sentence = element.querySelector(".qsw-said");
  const observer = new MutationObserver(() => changes.push(sentence?.textContent ?? ""));
  observer.observe(sentence ?? element, { childList: true, characterData: true, subtree: true });
  const began = performance.now();
  for (let at = 0; at < 60; at++) {
    model.receive(why(`sentence ${at}`));
    await frame();
  }
  const seconds = (performance.now() - began) / 1000;
  expect(changes.length).toBeLessThanOrEqual(Math.ceil(seconds));
  await expect.element(page.getByTestId("qsw-why")).toHaveTextContent("sentence 59");
  observer.disconnect();
});
