// What all client scripts share: accounts, artifacts, and checks that say what they found.
//
// A script ends with exit code 0 and a count, or with the first thing that does
// not hold on its last line. It never hangs: a watchdog ends it.
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";

const WATCHDOG_MS = 75_000;
/** Exit code of a script that cannot run on this machine. */
const SKIPPED = 77;
const ARTIFACTS = new URL("../../contracts/artifacts/", import.meta.url);

/** The standard test phrase, whose accounts hold coins and tokens on generated networks. */
export const MNEMONIC = "test test test test test test test test test test test junk";
export const COIN = 10n ** 18n;

/** Where the node under test listens; HTTP and WebSocket share the port. */
export const HTTP_URL = process.argv[2];
export const WS_URL = HTTP_URL?.replace(/^http/, "ws");

/** Path of an account of the test phrase. */
export const accountPath = (index) => `m/44'/60'/0'/0/${index}`;

export const artifact = (name) => JSON.parse(readFileSync(new URL(`${name}.json`, ARTIFACTS), "utf8"));

/** Characters of a value that a message quotes. */
const SHOWN_MAX = 1_000;

function shown(value) {
  const plain = (_, inner) => (typeof inner === "bigint" ? `${inner}n` : inner);
  return (JSON.stringify(value, plain) ?? String(value)).slice(0, SHOWN_MAX);
}

/** A check that did not hold. */
export class Mismatch extends Error {}

/** The checks of one client; `what` is always a sentence about the node. */
export class Checks {
  #client;
  #count = 0;

  constructor(client) {
    this.#client = client;
  }

  /** Something was seen to hold. */
  ok(what) {
    this.#count += 1;
    console.log(`ok  ${this.#client}: ${what}`);
  }

  holds(what, condition, seen) {
    if (!condition) throw new Mismatch(`${what}: saw ${shown(seen)}`);
    this.ok(what);
  }

  equal(what, actual, expected) {
    if (!isDeepStrictEqual(actual, expected)) {
      throw new Mismatch(`${what}: expected ${shown(expected)}, got ${shown(actual)}`);
    }
    this.ok(what);
  }

  matches(what, text, pattern) {
    if (!pattern.test(text)) throw new Mismatch(`${what}: expected ${pattern} in ${shown(text)}`);
    this.ok(what);
  }

  /** `action` must fail; returns its error. */
  async fails(what, action) {
    let answer;
    try {
      answer = await action();
    } catch (error) {
      return error;
    }
    throw new Mismatch(`${what}: expected an error, got ${shown(answer)}`);
  }

  done() {
    console.log(`ok  ${this.#client}: all ${this.#count} checks`);
  }
}

/** A promise that some later event settles; `what` names it if the watchdog strikes. */
export function awaited(what) {
  let settle;
  const promise = new Promise((resolve, reject) => (settle = { resolve, reject }));
  waitingFor.add(what);
  promise.then(() => waitingFor.delete(what), () => waitingFor.delete(what));
  return { promise, ...settle };
}

const waitingFor = new Set();

/** Ends the process in the way that tests/clients.rs takes for "skipped". */
export function skip(why) {
  console.error(`skipped: ${why}`);
  process.exit(SKIPPED);
}

/** Runs a client's checks and ends the process with their outcome. */
export async function run(client, story) {
  const fail = (text) => {
    console.error(`FAILED  ${client}: ${text}`);
    process.exit(1);
  };
  if (!HTTP_URL) fail("say the URL of a node's JSON-RPC");
  const watchdog = () => {
    fail(`not done after ${WATCHDOG_MS} ms; waiting for ${[...waitingFor].join(", ") || "an answer"}`);
  };
  setTimeout(watchdog, WATCHDOG_MS);
  const checks = new Checks(client);
  try {
    await story(checks);
  } catch (error) {
    // Stacks of mismatches lead into this file only.
    fail(error instanceof Mismatch ? error.message : (error.stack ?? String(error)));
  }
  checks.done();
  // Sockets of WebSocket clients would keep the process alive.
  process.exit(0);
}
