import { useEffect, useRef, useState } from "preact/hooks";
import type { Model, Peek } from "../../contract";
import type { Commands } from "./hooks";
import { peekOf } from "./shape";

const MOST_KEPT = 50;

export interface Peeks {
  get(jobId: string): Peek | undefined;
  ask(jobId: string): void;
}

/** Requests previews of jobs; the last ones are kept. */
export function usePeeks(model: Model, commands: Commands): Peeks {
  const [found, setFound] = useState<ReadonlyMap<string, Peek>>(new Map());
  const asked = useRef(new Set<string>());
  useEffect(() => {
    const onMessage = (message: unknown) => {
      const peek = peekOf(message);
      // Answers to other views of this model arrive here as well.
      if (peek && asked.current.has(peek.job_id)) {
        setFound((last) =>
          new Map([...last].slice(-MOST_KEPT).filter(([id]) => id !== peek.job_id)).set(
            peek.job_id,
            peek,
          ),
        );
      }
    };
    model.on("msg:custom", onMessage);
    return () => model.off("msg:custom", onMessage);
  }, [model]);
  return {
    get: (jobId) => found.get(jobId),
    ask(jobId) {
      asked.current.add(jobId);
      commands.send({ do: "peek", job_id: jobId });
    },
  };
}
