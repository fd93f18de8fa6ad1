import { readFile } from "node:fs/promises";

const hex = (integrity) => {
  const [name, hash] = integrity.split("-");
  return {
    alg: name.replace("sha", "SHA-"),
    content: Buffer.from(hash, "base64").toString("hex"),
  };
};

/**
 * List what a bundle has of other packages, in CycloneDX's form: names, releases and hashes are those
 * of package-lock.json. It has no date and no random number, so that equal builds have equal files.
 */
export async function sbom(metafile) {
  const { version, packages } = JSON.parse(await readFile("package-lock.json", "utf8"));
  const places = Object.keys(metafile.inputs)
    // From the first node_modules on, which may be a link to another folder.
    .map((input) => input.match(/(node_modules\/(?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/]+)\//)?.[1])
    .filter((place) => place !== undefined);
  const components = [...new Set(places)].sort().map((place) => {
    const name = place.replace(/^.*node_modules\//, "");
    const { version, license, integrity } = packages[place];
    const purl = `pkg:npm/${encodeURIComponent(name).replace("%2F", "/")}@${version}`;
    return {
      type: "library",
      "bom-ref": purl,
      name,
      version,
      licenses: [{ license: { id: license } }],
      hashes: [hex(integrity)],
      purl,
    };
  });
  const own = `pkg:pypi/qsession-widget@${version}`;
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      component: {
        type: "library",
        "bom-ref": own,
        name: "qsession-widget",
        version,
        licenses: [{ license: { id: "Apache-2.0" } }],
        purl: own,
      },
    },
    components,
    dependencies: [{ ref: own, dependsOn: components.map((each) => each.purl) }],
  };
}
