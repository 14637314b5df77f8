// The command line of the scripts: parse({ name: default }) reads --name value.
import { parseArgs } from "node:util";

export function parse(defaults) {
  const options = Object.fromEntries(Object.keys(defaults).map((name) => [name, { type: "string" }]));
  const { values } = parseArgs({ options });
  const read = { ...defaults, ...values };
  for (const [name, value] of Object.entries(defaults)) {
    if (value === undefined && values[name] === undefined) throw new Error(`--${name} is missing`);
    if (typeof value === "number") read[name] = Number(read[name]);
  }
  return read;
}
