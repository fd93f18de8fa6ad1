/** Made by `build.mjs` from the folder `examples`. */
declare module "qsession:examples" {
  const notebooks: readonly { name: string; title: string; content: unknown }[];
  export default notebooks;
}
