// Replays recorded sessions with the panel's own module. It makes no request, and works from file://.
import type { Message, Model, Peek, Traits } from "../src/contract";
import { LocalModel } from "./local-model";

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
type Values = Record<string, Json>;

interface Moment {
  id: string;
  title: string;
  text: string;
  /** Seconds from the beginning. */
  at: number;
}

interface Recording {
  title: string;
  /** Epoch ms on the service's clock. */
  begin: number;
  seconds: number;
  moments: readonly Moment[];
  /** What changed in the traits, and when. */
  frames: readonly { at: number; traits: Values }[];
  /** Previews by job. */
  peeks: Record<string, Peek>;
}

interface Widget {
  render(context: { model: Model; el: HTMLElement }): () => void;
}

const BEAT_MS = 100;
/** Seconds of the recording in one. */
const SPEED = 8;
const BYTES = "$bytes";
const SET = "$set";
const FINAL = 2;

function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) {
    throw new Error(`the page has no element ${id}`);
  }
  return found as T;
}

function isRecord(value: Json | undefined): value is { readonly [name: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The new value of a trait after a change. */
function merged(before: Json | undefined, change: Json): Json {
  if (!isRecord(change)) {
    return change;
  }
  if (SET in change) {
    return change[SET] as Json;
  }
  const found: Record<string, Json> = isRecord(before) ? { ...before } : {};
  for (const [name, value] of Object.entries(change)) {
    found[name] = merged(found[name], value);
  }
  return found;
}

/** A trait as a host gives it to the view: bytes are a DataView. */
function asTrait(value: Json): unknown {
  if (isRecord(value) && typeof value[BYTES] === "string") {
    return new DataView(Uint8Array.from(atob(value[BYTES]), (each) => each.charCodeAt(0)).buffer);
  }
  return value;
}

/** A front-end model whose kernel is a recording. */
class RecordedModel extends LocalModel {
  readonly #recording: Recording;
  readonly #heard: string[] = [];
  #values: Values = {};
  #frame = -1;
  #beats = 0;

  constructor(recording: Recording) {
    super();
    this.#recording = recording;
    this.show(0);
  }

  override send({ ref, ...command }: Message): void {
    if (command.do === "look" || command.do === "here") {
      return;
    }
    if (command.do === "peek") {
      const peek = this.#peek(command.job_id);
      setTimeout(() => this.emit("msg:custom", { peek }));
      return;
    }
    this.#heard.push(ref);
    this.receive({
      commands: { heard: [...this.#heard], done: [...this.#heard] },
      notice: {
        n: this.#heard.length,
        level: "info",
        text: "This is a recording: here buttons change nothing.",
        command: "",
      },
    });
  }

  /** Shows a time of the recording, in seconds from its beginning. */
  show(seconds: number): void {
    const { begin, frames } = this.#recording;
    let frame = frames.findLastIndex(({ at }) => at <= seconds);
    frame = Math.max(frame, 0);
    if (frame !== this.#frame) {
      const from = frame > this.#frame ? this.#frame + 1 : 0;
      const before = this.#values;
      let values: Values = from === 0 ? {} : { ...before };
      for (const { traits } of frames.slice(from, frame + 1)) {
        for (const [name, change] of Object.entries(traits)) {
          values = { ...values, [name]: merged(values[name], change) };
        }
      }
      this.#values = values;
      this.#frame = frame;
      const names = new Set([...Object.keys(values), ...Object.keys(before)]);
      const changed = [...names].filter((name) => values[name] !== before[name]);
      this.receive(
        Object.fromEntries(
          changed.map((name) => [name, name in values ? asTrait(values[name] ?? null) : undefined]),
        ) as Partial<Traits>,
      );
    }
    this.#beats += 1;
    const now = begin + seconds * 1000;
    this.receive({ beat: { n: this.#beats, at: Date.now(), now, rate: 1, every: 1 } });
  }

  /** The preview of a job at this time: before its end it has no result. */
  #peek(jobId: string): Peek {
    const peek = this.#recording.peeks[jobId];
    if (peek === undefined) {
      return { job_id: jobId, error: "This job was not recorded." };
    }
    if (this.#isFinal(jobId)) {
      return peek;
    }
    const { results: _results, usage: _usage, reason: _reason, ...rest } = peek;
    return { ...rest, results: [] };
  }

  #isFinal(jobId: string): boolean {
    const states = this.get("states");
    const place = this.get("page0")?.ids.indexOf(jobId) ?? -1;
    return place >= 0 && states !== undefined && (states.getUint8(place) & 15) >= FINAL;
  }
}

function clockText(seconds: number): string {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** The panel's module, as the wheel ships it, from the text of this page. */
async function loadWidget(): Promise<Widget> {
  const source = element("widget").textContent ?? "";
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  try {
    return (await import(url)).default;
  } finally {
    URL.revokeObjectURL(url);
  }
}

function start(recordings: readonly Recording[], widget: Widget): void {
  const place = element("panel");
  const scrubber = element<HTMLInputElement>("scrubber");
  const play = element<HTMLButtonElement>("play");
  const time = element("time");
  const title = element("title");
  const caption = element("caption");
  const links = [...document.querySelectorAll<HTMLAnchorElement>("[data-moment]")];

  let recording = recordings[0] as Recording;
  let model: RecordedModel | undefined;
  let remove = () => {};
  let seconds = 0;
  let playing = false;

  const draw = () => {
    model?.show(seconds);
    scrubber.value = String(Math.floor(seconds));
    const text = `${clockText(seconds)} of ${clockText(recording.seconds)}`;
    scrubber.setAttribute("aria-valuetext", text);
    time.textContent = text;
  };
  const setPlaying = (value: boolean) => {
    playing = value;
    play.textContent = playing ? "Pause" : "Play";
  };
  const open = (next: Recording) => {
    if (next === recording && model !== undefined) {
      return;
    }
    remove();
    recording = next;
    model = new RecordedModel(next);
    remove = widget.render({ model, el: place });
    title.textContent = next.title;
    scrubber.max = String(next.seconds);
  };
  const mark = (moment: Moment | undefined) => {
    caption.textContent = moment?.text ?? "";
    for (const link of links) {
      if (link.dataset.moment === moment?.id) {
        link.setAttribute("aria-current", "true");
      } else {
        link.removeAttribute("aria-current");
      }
    }
  };
  /** The last moment that has come; not where nothing has happened yet. */
  const passed = () => recording.moments.findLast(({ at }) => at <= seconds);
  const go = (id: string): boolean => {
    for (const each of recordings) {
      const moment = each.moments.find((found) => found.id === id);
      if (moment) {
        open(each);
        seconds = moment.at;
        setPlaying(false);
        draw();
        mark(moment);
        return true;
      }
    }
    return false;
  };
  const follow = () => go(location.hash.slice(1));

  scrubber.addEventListener("input", () => {
    seconds = Number(scrubber.value);
    draw();
    mark(passed());
  });
  play.addEventListener("click", () => {
    if (!playing && seconds >= recording.seconds) {
      seconds = 0;
    }
    setPlaying(!playing);
  });
  // A link to the moment that is shown already changes no address.
  for (const link of links) {
    link.addEventListener("click", () => go(link.dataset.moment ?? ""));
  }
  addEventListener("hashchange", follow);
  if (!follow()) {
    open(recording);
    draw();
    mark(passed());
  }

  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    if (playing) {
      seconds = Math.min(recording.seconds, seconds + ((now - last) / 1000) * SPEED);
      mark(passed());
      if (seconds >= recording.seconds) {
        setPlaying(false);
      }
    }
    last = now;
    // While nothing plays, the time of the panel stands still, too.
    draw();
  }, BEAT_MS);
}

start(JSON.parse(element("recordings").textContent ?? "[]"), await loadWidget());
