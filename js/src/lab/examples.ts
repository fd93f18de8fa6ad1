import notebooks from "qsession:examples";

/** A notebook of the package's `examples` folder, without outputs. */
export interface Example {
  /** Of its file. */
  name: string;
  /** Its first heading. */
  title: string;
  content: unknown;
}

const examples: readonly Example[] = notebooks;

export default examples;
