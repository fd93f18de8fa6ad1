import { expect, onTestFinished, test } from "vitest";
import { TRAITS, type Traits } from "../src/contract";
import { draw } from "./draw";
import { HOSTILE, jobTraits, live, MIXED, manyJobs, peek } from "./fixtures";

/** Random, and the same at every run. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const ODD: readonly unknown[] = [
  null,
  undefined,
  0,
  -1,
  1e300,
  Number.NaN,
  "",
  HOSTILE,
  "\u202Egnp.exe\u202C\u2066",
  "t".repeat(10_000),
  "__proto__",
  [],
  {},
  true,
];

/** A copy with one value replaced by an odd one. */
function bent(value: unknown, random: () => number): unknown {
  const odd = ODD[Math.floor(random() * ODD.length)];
  if (value instanceof DataView) {
    const bytes = Array.from({ length: Math.floor(random() * 40) }, () => random() * 256);
    return new DataView(new Uint8Array(bytes).buffer);
  }
  if (typeof value !== "object" || value === null || random() < 0.1) {
    return typeof odd === typeof value || random() < 0.5 ? odd : value;
  }
  const keys = Object.keys(value);
  const key = keys[Math.floor(random() * keys.length)];
  if (key === undefined) {
    return value;
  }
  const part = bent((value as Record<string, unknown>)[key], random);
  return Array.isArray(value)
    ? value.map((each, at) => (String(at) === key ? part : each))
    : { ...value, [key]: part };
}

const NAMES = [...TRAITS, "page0"] as const;

test.each(
  Array.from({ length: 60 }, (_, seed) => seed),
)("whatever comes, the panel stands: %i", async (seed) => {
  const random = randomFrom(seed + 1);
  const failures: unknown[] = [];
  const onError = (event: ErrorEvent) => failures.push(event.message);
  addEventListener("error", onError);
  onTestFinished(() => removeEventListener("error", onError));
  const { model, element } = draw(live());
  for (const summary of element.querySelectorAll("summary")) {
    summary.click();
  }
  element.querySelector<HTMLElement>(".qsw-open")?.click();
  for (let round = 0; round < 12; round++) {
    const name = NAMES[Math.floor(random() * NAMES.length)] ?? "head";
    const whole = random() < 0.3 ? live(jobTraits(manyJobs(70))) : live(jobTraits(MIXED));
    model.receive({ ...whole, [name]: bent(whole[name], random) } as Partial<Traits>);
    model.emit("msg:custom", bent(peek({ job_id: MIXED[6]?.id ?? "" }), random));
    await new Promise(requestAnimationFrame);
  }
  model.receive(live());
  await expect.poll(() => element.querySelectorAll("[data-job-id]").length).toBe(7);
  expect(failures).toEqual([]);
  expect(element.querySelector("img, script")).toBeNull();
  expect(Reflect.has(globalThis, "pwned")).toBe(false);
});
