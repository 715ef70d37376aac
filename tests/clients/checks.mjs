// What all client scripts share: accounts, artifacts, and checks that say what they found.
//
// A script ends with exit code 0 and a count, or with the first thing that does
// not hold on its last line. It never hangs: a watchdog ends it.
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";

const WATCHDOG_MS = 240_000;
/** Time between two looks at something that is waited for. */
const LOOK_PERIOD_MS = 50;
/** Calls in a batch of ours. */
const BATCH = 250;
/** Exit code of a script that cannot run on this machine. */
const SKIPPED = 77;
const ARTIFACTS = new URL("../../contracts/artifacts/", import.meta.url);

/** The standard test phrase, whose accounts hold coins and tokens on generated networks. */
export const MNEMONIC = "test test test test test test test test test test test junk";
export const COIN = 10n ** 18n;

/** Where the node under test listens; HTTP and WebSocket share the port. */
/** Hardhat gives its scripts no arguments. */
export const HTTP_URL = process.env.MEDINA_RPC ?? process.argv[2];
export const WS_URL = HTTP_URL?.replace(/^http/, "ws");

/** Transactions that every client sends in a row. */
export const MANY = Number(process.env.MEDINA_MANY ?? 1_000);
/** The network's chain id. */
export const CHAIN_ID = 20_262;

/** Path of an account of the test phrase. */
export const accountPath = (index) => `m/44'/60'/0'/0/${index}`;

export const artifact = (name) => JSON.parse(readFileSync(new URL(`${name}.json`, ARTIFACTS), "utf8"));

/** `forge/src/Notebook.sol`, compiled by the test set-up. */
export const notebook = () =>
  JSON.parse(readFileSync(new URL("node_modules/.medina/Notebook.json", import.meta.url), "utf8"));

/** A plain JSON-RPC call, to look at what a client did from outside of it. */
export async function rpc(method, ...params) {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  const response = await fetch(HTTP_URL, { method: "POST", headers: { "content-type": "application/json" }, body });
  const { result, error } = await response.json();
  if (error) throw Object.assign(new Error(error.message), error);
  return result;
}

/** Waits until `look` answers something true; the watchdog ends it otherwise. */
export async function eventually(what, look) {
  const waiting = awaited(what);
  for (;;) {
    const seen = await look();
    if (seen) {
      waiting.resolve(seen);
      return waiting.promise;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_PERIOD_MS));
  }
}

/**
 * After a client sent `hashes` from one account: all are included, and the chain has them in the order sent.
 */
export async function inOrder(checks, hashes, first) {
  checks.equal("it sent as many as it should", hashes.length, MANY);
  const last = await eventually("the last of many transactions", () => rpc("eth_getTransactionReceipt", hashes.at(-1)));
  const places = [];
  for (let from = 0; from < hashes.length; from += BATCH) {
    const part = hashes.slice(from, from + BATCH);
    const calls = part.map((hash, id) => ({ jsonrpc: "2.0", id, method: "eth_getTransactionByHash", params: [hash] }));
    const headers = { "content-type": "application/json" };
    const response = await fetch(HTTP_URL, { method: "POST", headers, body: JSON.stringify(calls) });
    const answers = await response.json();
    answers.sort((a, b) => a.id - b.id).forEach(({ result }) => places.push(result));
  }
  const nonces = places.map((place) => Number(place.nonce));
  const expected = hashes.map((_, index) => first + index);
  checks.equal(`${MANY} transactions in a row have nonces in a row`, nonces, expected);
  const keys = places.map(({ blockNumber, transactionIndex }) => Number(blockNumber) * 1e6 + Number(transactionIndex));
  const isSorted = keys.every((key, index) => index === 0 || keys[index - 1] < key);
  checks.holds(`${MANY} transactions are included in the order sent`, isSorted && last.status === "0x1", last);
}

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
