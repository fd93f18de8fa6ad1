import { useRef, useState } from "preact/hooks";
import { isStale, serverTime } from "../clock";
import { CLOSED, type Command, type Model } from "../contract";
import { ClockBanner } from "./head/clock";
import { Details } from "./head/details";
import { FigureView, Pill, Primary, Sentence, Title } from "./head/head";
import { HolderStrip } from "./head/holder";
import { ProgressStrip } from "./head/strip";
import { Timeline } from "./jobs/chart";
import { EVERYTHING, type Filter } from "./jobs/order";
import { JobTable } from "./jobs/table";
import { Toolbar } from "./jobs/toolbar";
import { useAnnouncement } from "./state/announce";
import { useCalm, useLinger, useSteadyWord } from "./state/calm";
import { useCommands, useLooks, useNow, useSession } from "./state/hooks";
import { usePeeks } from "./state/peeks";
import { nameOf } from "./state/pending";
import { Confirm, PENDING_NAMES, type Question } from "./ui/confirm";
import { consequence, type SessionCommand } from "./ui/consequence";
import { useCopy } from "./ui/copy";
import { Empty } from "./ui/empty";
import { keepPlainKeys, OWN_KEYS } from "./ui/keys";
import { Menu, type MenuItem } from "./ui/menu";
import { NoticeStrip, WaitingStrip } from "./ui/strips";
import { Tabs } from "./ui/tabs";
import { sessionWord } from "./ui/words";

const FAST_MS = 200;
const SLOW_MS = 1000;
const TABS = [
  { id: "jobs", name: "Jobs" },
  { id: "timeline", name: "Timeline" },
  { id: "details", name: "Details" },
] as const;
type TabId = (typeof TABS)[number]["id"];

export function Panel({ model }: { model: Model }) {
  const { snapshot, pulse, answered, asks } = useSession(model);
  const { head, jobs, link, notice } = snapshot;
  const { counts } = jobs.tally;
  const moving = link.state !== "ended" && counts.running + counts.queued > 0;
  const now = useNow(moving ? FAST_MS : SLOW_MS);
  const stale = isStale(pulse, link.state, now);
  // Times stop counting while it is unknown whether the session still runs.
  const resting = stale || link.state === "retrying";
  /** What a notebook or a page has saved, without a kernel: there is nothing to press. */
  const saved = (stale || link.state === "ended") && !answered && pulse.seen !== null;
  const serverNow = serverTime(pulse, resting ? pulse.from : now);
  const word = useSteadyWord(sessionWord(head, counts), now);
  const shownHead = useCalm(head, JSON.stringify([head.why, head.holder, word]), now);

  useLooks(model, stale || pulse.asked);
  const commands = useCommands(model, snapshot, pulse, asks, stale, now);
  const [asked, setAsked] = useState<Question | null>(null);
  const [tab, setTab] = useState<TabId>("jobs");
  const [filter, setFilter] = useState<Filter>(EVERYTHING);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const [openedId, setOpenedId] = useState<string | null>(null);
  const peeks = usePeeks(model, commands);
  const root = useRef<HTMLElement>(null);
  const menuButton = useRef<HTMLButtonElement>(null);
  const mainButton = useRef<HTMLButtonElement>(null);
  const announced = useAnnouncement(snapshot, word, stale, now);
  const closed = head.status === CLOSED;
  const cancellable = useLinger(moving && !saved, closed || saved, now);
  const isDisabled = (command: SessionCommand) =>
    stale ||
    closed ||
    (["cancel_queued", "close", "cancel"] as const).some((each) => commands.isPending(each)) ||
    (command === "cancel_queued"
      ? counts.queued === 0
      : head.session_id === null || (command === "close" && head.accepting_jobs === false));

  const opener = (command: Command) =>
    (command.do === "close" && !unsure ? mainButton : menuButton).current;
  const dismiss = () => {
    setAsked(null);
    ((asked && opener(asked.command)) ?? root.current)?.focus({ preventScroll: true });
  };
  const confirm = ({ command }: Question) => {
    commands.send(command);
    setAsked(null);
    // All buttons are disabled now; the focus must not fall back to the notebook's cell.
    root.current?.focus({ preventScroll: true });
  };

  const ask = (command: SessionCommand) =>
    setAsked(
      asked?.command.do === command
        ? null
        : {
            command: { do: command },
            name: nameOf({ do: command }),
            consequence: consequence(command, counts),
            keep: command === "cancel_queued" ? "Keep them" : "Keep open",
          },
    );
  const item = (command: SessionCommand): MenuItem => ({
    id: command.replace("_", "-"),
    name: `${nameOf({ do: command })}${command === "cancel_queued" ? " jobs" : ""}`,
    icon: "cancelled",
    destructive: true,
    disabled: isDisabled(command),
    act: () => ask(command),
  });
  const id = head.session_id;
  const idCopy = useCopy(id ?? "", "session id");
  /** Whether another action is more urgent than closing, which then goes to the menu. */
  const unsure = stale || pulse.asked || link.state === "retrying";
  const copy: MenuItem = { id: "copy", ...idCopy, answers: true, act: idCopy.copy };
  const actions: readonly MenuItem[] = [
    item("cancel_queued"),
    ...(head.simulator ? [] : [item("cancel")]),
    ...(unsure && !head.simulator && !closed ? [item("close")] : []),
  ];
  const items: readonly MenuItem[] = [
    ...(saved
      ? []
      : [{ id: "refresh", name: "Refresh", icon: "retrying", act: commands.refresh } as const]),
    ...(id === null ? [] : [copy]),
    ...(saved ? [] : actions),
  ];

  const primary = () => {
    if (saved) {
      return null;
    }
    if (link.state === "retrying" && link.startable && !stale) {
      const starting = commands.isPending("start");
      const start = () => commands.send({ do: "start" });
      return (
        <Primary loud data-testid="qsw-start" disabled={starting} onClick={start}>
          {starting ? "Starting…" : "Start"}
        </Primary>
      );
    }
    if (unsure) {
      return (
        <Primary data-testid="qsw-refresh-now" onClick={commands.refresh}>
          Refresh
        </Primary>
      );
    }
    return head.simulator || closed ? null : (
      <Primary
        data-testid="qsw-close"
        disabled={isDisabled("close")}
        aria-expanded={asked?.command.do === "close"}
        ref={mainButton}
        onClick={() => ask("close")}
      >
        {commands.isPending("close") ? PENDING_NAMES.close : nameOf({ do: "close" })}
      </Primary>
    );
  };

  const content = () => {
    if (tab === "timeline") {
      const open = (jobId: string) => {
        setOpenedId(jobId);
        setFilter(EVERYTHING);
        setTab("jobs");
      };
      return <Timeline head={head} jobs={jobs} serverNow={serverNow} onOpen={open} />;
    }
    if (tab === "details") {
      return <Details head={head} jobs={jobs} link={link} word={word} serverNow={serverNow} />;
    }
    return jobs.count === 0 ? (
      <Empty connecting={link.state === "connecting"} closed={closed} />
    ) : (
      <JobTable
        jobs={jobs}
        commands={commands}
        peeks={peeks}
        filter={filter}
        selected={selected}
        onSelected={setSelected}
        openedId={openedId}
        onOpened={setOpenedId}
        cancellable={cancellable}
        over={link.state === "ended"}
        disabled={stale || saved}
        serverNow={serverNow}
      />
    );
  };

  return (
    <section
      class={resting ? "qsw-panel qsw-stale" : "qsw-panel"}
      data-testid="qsw-panel"
      data-session-id={id ?? undefined}
      ref={root}
      tabIndex={-1}
      aria-label={id === null ? "Quantum jobs" : `Session ${head.name ?? id}`}
      onKeyDown={keepPlainKeys}
      {...OWN_KEYS}
    >
      {/* The only text that screen readers read aloud by themselves. */}
      <span class="qsw-visually-hidden" role="status">
        <span key={announced.n}>{announced.text}</span>
      </span>
      <header class="qsw-head">
        <div class="qsw-line">
          <Title head={head} />
          <Pill word={word} head={head} stale={resting} />
          <FigureView word={word} head={head} jobs={jobs} serverNow={serverNow} />
          <span class="qsw-main">{primary()}</span>
          {items.length > 0 && <Menu items={items} buttonRef={menuButton} />}
        </div>
        <Sentence
          head={shownHead}
          link={link}
          pulse={pulse}
          stale={stale}
          saved={saved}
          now={now}
          serverNow={serverNow}
        />
        <ProgressStrip head={head} jobs={jobs} serverNow={serverNow} />
      </header>
      <ClockBanner
        rate={pulse.rate}
        serverNow={serverNow}
        disabled={stale || commands.isPending("advance")}
        onAdvance={saved ? null : (seconds) => commands.send({ do: "advance", seconds })}
      />
      <HolderStrip
        head={shownHead}
        serverNow={serverNow}
        disabled={stale || commands.isPending("close_other")}
        onClose={saved ? null : (other) => commands.send({ do: "close_other", session_id: other })}
      />
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
      <WaitingStrip names={commands.unheard} />
      <NoticeStrip notice={notice} />
      <Tabs
        tabs={TABS}
        selected={tab}
        onSelect={setTab}
        aside={
          tab === "jobs" && (
            <Toolbar
              jobs={jobs}
              filter={filter}
              onFilter={setFilter}
              selected={selected}
              disabled={stale || commands.isPending("cancel_jobs")}
              ask={setAsked}
            />
          )
        }
      >
        {content()}
      </Tabs>
    </section>
  );
}
