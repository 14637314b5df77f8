// Named checks, each with a limit of time. The outcome of each is a line of JSON on the standard output.

export const limit = 10_000;

// within settles as promise does, or fails after ms.
export function within(ms, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export function print(result) {
  process.stdout.write(JSON.stringify(result) + "\n");
}

// run runs the checks, an object of functions by name, one after the other. A check gets an object to which it adds,
// by defer, what has to be undone, and ends within ms. The result is false if one failed. A function may have an
// operation and a direction, which name what it checks in docs/interop.md; the default is its name, and none.
export async function run(checks, ms = limit) {
  let all = true;
  for (const [check, fn] of Object.entries(checks)) {
    const undo = [];
    const result = { check, operation: fn.operation ?? check, direction: fn.direction ?? "", ok: true };
    const start = performance.now();
    try {
      await within(ms, fn({ defer: (f) => undo.push(f) }), check);
    } catch (e) {
      all = result.ok = false;
      result.error = e?.stack ?? String(e);
    }
    for (const f of undo.reverse()) f();
    result.ms = Math.round(performance.now() - start);
    print(result);
  }
  return all;
}

// directed adds a check of an operation in one direction.
export function directed(checks, operation, direction, fn) {
  checks[`${operation}, ${direction}`] = Object.assign(fn, { operation, direction });
}

// plain replaces binary of any type by one that compares, and leaves the rest.
function plain(x) {
  if (x instanceof ArrayBuffer || ArrayBuffer.isView(x)) {
    const bytes = x instanceof ArrayBuffer ? Buffer.from(x) : Buffer.from(x.buffer, x.byteOffset, x.byteLength);
    return { "binary of": bytes.toString("base64") };
  }
  if (Array.isArray(x)) return x.map(plain);
  if (x !== null && typeof x === "object") {
    return Object.fromEntries(Object.keys(x).sort().map((k) => [k, plain(x[k])]));
  }
  return x;
}

// equal fails if the values differ; binary equals binary of the same bytes, whatever its type, and nothing else.
export function equal(got, want, what = "got") {
  const [g, w] = [JSON.stringify(plain(got)), JSON.stringify(plain(want))];
  if (g !== w) throw new Error(`${what}: ${short(g)}, want ${short(w)}`);
}

export function assert(truth, what) {
  if (!truth) throw new Error(what);
}

function short(s) {
  return s === undefined || s.length <= 200 ? s : `${s.slice(0, 200)}… (${s.length} characters)`;
}
