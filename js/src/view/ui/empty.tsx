interface EmptyProps {
  connecting: boolean;
  closed: boolean;
}

/** The text in place of the jobs. */
export function Empty({ connecting, closed }: EmptyProps) {
  if (connecting) {
    return <p class="qsw-empty">Waiting for the first answer.</p>;
  }
  if (closed) {
    return (
      <p class="qsw-empty" data-closed="true">
        This session had no jobs.
      </p>
    );
  }
  return (
    <p class="qsw-empty">
      <strong>No jobs yet.</strong> Run a sampler or an estimator here, and its jobs appear.
    </p>
  );
}
