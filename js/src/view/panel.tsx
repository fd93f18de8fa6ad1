import { useRef, useState } from "preact/hooks";
import { isStale, serverTime } from "../clock";
import { CLOSED, type Command, type Model } from "../contract";
import { Countdowns } from "./head/countdowns";
import { Details } from "./head/details";
import { Facts, LinkBadge, Status } from "./head/head";
import { WhyLine } from "./head/why";
import { TimelineSection } from "./jobs/chart";
import { JobTable } from "./jobs/table";
import { useAnnouncement } from "./state/announce";
import { useCommands, useLooks, useNow, useSession } from "./state/hooks";
import { usePeeks } from "./state/peeks";
import { nameOf } from "./state/pending";
import {
  Confirm,
  consequence,
  PENDING_NAMES,
  type Question,
  type SessionCommand,
} from "./ui/confirm";
import { Empty } from "./ui/empty";
import { keepPlainKeys, OWN_KEYS } from "./ui/keys";
import { NoticeStrip, RetryStrip, WaitingStrip } from "./ui/strips";

const FAST_MS = 200;
const SLOW_MS = 1000;
const SESSION_COMMANDS: readonly SessionCommand[] = ["cancel_queued", "close", "cancel"];
const SIMULATOR_COMMANDS: readonly SessionCommand[] = ["cancel_queued"];

export function Panel({ model }: { model: Model }) {
  const { snapshot, pulse, asks } = useSession(model);
  const { head, jobs, link, notice } = snapshot;
  const { tally } = jobs;
  const { counts } = tally;
  const moving = link.state !== "ended" && counts.running + counts.queued > 0;
  const now = useNow(moving ? FAST_MS : SLOW_MS);
  const stale = isStale(pulse, link.state, now);
  // Times stop counting while it is unknown whether the session still runs.
  const serverNow = serverTime(pulse, stale ? pulse.from : now);

  useLooks(model, stale);
  const commands = useCommands(model, snapshot, pulse, stale, now);
  const [asked, setAsked] = useState<Question | null>(null);
  const peeks = usePeeks(model, commands);
  const root = useRef<HTMLElement>(null);
  const openers = useRef<Partial<Record<Command["do"], HTMLButtonElement | null>>>({});
  const announced = useAnnouncement(snapshot, stale, now);
  const closed = head.status === CLOSED;
  const busy = SESSION_COMMANDS.some((command) => commands.isPending(command));
  const isDisabled = (command: SessionCommand) =>
    stale ||
    closed ||
    busy ||
    (command === "cancel_queued"
      ? counts.queued === 0
      : head.session_id === null || (command === "close" && head.accepting_jobs === false));

  const dismiss = () => {
    setAsked(null);
    const opener = asked && openers.current[asked.command.do];
    (opener ?? root.current)?.focus({ preventScroll: true });
  };
  const confirm = ({ command }: Question) => {
    commands.send(command);
    setAsked(null);
    // All buttons are disabled now; the focus must not fall back to the notebook's cell.
    root.current?.focus({ preventScroll: true });
  };

  const refresh = () => {
    // In hosts that push nothing, the kernel answers with everything.
    const all = stale || pulse.asked;
    if (all) {
      asks();
    }
    commands.send({ do: "refresh", all });
  };

  const question = (command: SessionCommand): Question => ({
    command: { do: command },
    name: nameOf({ do: command }),
    consequence: consequence(command, counts),
    keep: command === "cancel_queued" ? "Keep them" : "Keep open",
  });
  const isAsked = (command: SessionCommand) => asked?.command.do === command;

  return (
    <section
      class={stale ? "qsw-panel qsw-stale" : "qsw-panel"}
      data-testid="qsw-panel"
      ref={root}
      tabIndex={-1}
      aria-label={head.session_id === null ? "Quantum jobs" : `Session ${head.session_id}`}
      onKeyDown={keepPlainKeys}
      {...OWN_KEYS}
    >
      {/* The only text that screen readers read aloud by themselves. */}
      <span class="qsw-visually-hidden" role="status">
        <span key={announced.n}>{announced.text}</span>
      </span>
      <header class="qsw-head">
        <div class="qsw-titles">
          <strong class="qsw-backend qsw-clip" title={head.backend_name ?? undefined}>
            {head.backend_name ?? "no backend yet"}
          </strong>
          <Status head={head} />
          <div class="qsw-connection">
            <LinkBadge link={link} pulse={pulse} stale={stale} now={now} />
            {(stale || pulse.asked || link.state === "retrying") && (
              <button
                type="button"
                class="qsw-button qsw-small"
                data-testid="qsw-refresh"
                onClick={refresh}
                {...OWN_KEYS}
              >
                Refresh
              </button>
            )}
          </div>
        </div>
        <div class="qsw-actions">
          {(head.simulator ? SIMULATOR_COMMANDS : SESSION_COMMANDS).map((command) => (
            <button
              key={command}
              type="button"
              class="qsw-button"
              data-testid={`qsw-${command.replace("_", "-")}`}
              aria-expanded={isAsked(command)}
              ref={(element) => {
                openers.current[command] = element;
              }}
              disabled={isDisabled(command)}
              onClick={() => setAsked(isAsked(command) ? null : question(command))}
              {...OWN_KEYS}
            >
              {commands.isPending(command) ? PENDING_NAMES[command] : nameOf({ do: command })}
            </button>
          ))}
        </div>
      </header>
      {head.why && <WhyLine why={head.why} serverNow={serverNow} />}
      <Facts head={head} tally={tally} serverNow={serverNow} rate={pulse.rate} />
      <Countdowns countdowns={head.countdowns} serverNow={serverNow} />
      {asked !== null && !closed && (
        <Confirm
          question={asked}
          disabled={
            asked.command.do in PENDING_NAMES
              ? isDisabled(asked.command.do as SessionCommand)
              : stale
          }
          onConfirm={() => confirm(asked)}
          onDismiss={dismiss}
        />
      )}
      {link.state === "retrying" && <RetryStrip link={link} age={now - pulse.from} />}
      <WaitingStrip names={commands.unheard} />
      <NoticeStrip notice={notice} />
      <Details details={head.details} serverNow={serverNow} />
      {jobs.count > 0 && <TimelineSection head={head} jobs={jobs} serverNow={serverNow} />}
      {jobs.count === 0 ? (
        <Empty connecting={link.state === "connecting"} closed={closed} />
      ) : (
        <JobTable
          jobs={jobs}
          commands={commands}
          peeks={peeks}
          disabled={stale}
          serverNow={serverNow}
          ask={setAsked}
        />
      )}
    </section>
  );
}
