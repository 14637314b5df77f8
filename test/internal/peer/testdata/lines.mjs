// Prints its arguments, a line each, then what it reads, and ends with status 3.
import { createInterface } from "node:readline";

for (const arg of process.argv.slice(2)) console.log(arg);
for await (const line of createInterface({ input: process.stdin })) {
  console.log("read " + line);
  if (line === "end") break;
}
process.exit(3);
