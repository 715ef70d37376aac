// Foundry's `forge`: create, script --broadcast, and tests on a fork.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { HDNodeWallet } from "ethers";
import { CHAIN_ID, HTTP_URL, MANY, MNEMONIC, accountPath, inOrder, rpc, run, skip } from "./checks.mjs";

const BINARY = binary();
const PROJECT = fileURLToPath(new URL("forge", import.meta.url));
/** The test that is there to fail, so that a pass means something. */
const FAILING = "test_mustFail";

/** The program that the package `@foundry-rs/forge` of the same version starts. */
function binary() {
  try {
    return createRequire(import.meta.url).resolve("@foundry-rs/forge-linux-amd64/bin/forge");
  } catch {
    skip(`no pinned forge for ${process.platform} on ${process.arch}`);
  }
}

// All that forge writes goes here, its caches of forked chains included.
const home = mkdtempSync(join(tmpdir(), "medina-forge-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));
const written = { out: join(home, "out"), cache_path: join(home, "cache"), broadcast: join(home, "broadcast") };
const env = { HOME: home, PATH: process.env.PATH, FOUNDRY_OFFLINE: "true", NO_COLOR: "1" };
for (const [name, folder] of Object.entries(written)) env[`FOUNDRY_${name.toUpperCase()}`] = folder;
const execute = promisify(execFile);

async function forge(parameters, more = {}) {
  const settings = { cwd: PROJECT, env: { ...env, ...more }, maxBuffer: 1 << 26 };
  return (await execute(BINARY, parameters.map(String), settings)).stdout;
}

const account = (index) => HDNodeWallet.fromPhrase(MNEMONIC, undefined, accountPath(index));
const [owner, busy, delegator] = [account(0), account(32), account(33)];

/** The record of what a script sent, in the order sent. */
function broadcast(name) {
  const folder = join(written.broadcast, "Write.s.sol", String(CHAIN_ID));
  const file = readdirSync(folder).find((entry) => entry === `${name}-latest.json`);
  return JSON.parse(readFileSync(join(folder, file), "utf8"));
}

async function create(checks) {
  const common = ["--rpc-url", HTTP_URL, "--private-key", owner.privateKey, "--broadcast", "--json"];
  const outcomes = [];
  for (const kind of [[], ["--legacy"]]) {
    // What follows --constructor-args is all taken for arguments.
    const text = await forge(["create", ...common, ...kind, "Notebook", "--constructor-args", "Created"]);
    const { deployedTo, transactionHash } = JSON.parse(text.slice(text.indexOf("{")));
    const receipt = await rpc("eth_getTransactionReceipt", transactionHash);
    outcomes.push([receipt.type, receipt.status, receipt.contractAddress === deployedTo.toLowerCase()]);
  }
  checks.equal("create deploys, as EIP-1559 and as legacy", outcomes, [
    ["0x2", "0x1", true],
    ["0x0", "0x1", true],
  ]);
}

async function script(signature, ...values) {
  const how = ["--rpc-url", HTTP_URL, "--broadcast", "--non-interactive", "--legacy"];
  return forge(["script", "script/Write.s.sol:Write", "--sig", signature, ...values, ...how]);
}

async function writing(checks) {
  await script("run(uint256)", owner.privateKey);
  const { transactions, receipts } = broadcast("run");
  const [deployment, note] = transactions;
  checks.equal("a script deploys and writes", [deployment.contractName, note.function], ["Notebook", "note(string)"]);
  checks.holds("all its transactions have receipts", receipts.every(({ status }) => status === "0x1"), receipts.length);
  const { blockNumber } = await rpc("eth_getTransactionReceipt", note.hash);
  return { address: deployment.contractAddress, writtenAt: Number(blockNumber) };
}

/** In a script of its own: with several senders forge waits for each receipt before it goes on. */
async function many(checks) {
  const first = Number(await rpc("eth_getTransactionCount", busy.address, "pending"));
  await script("pay(uint256,uint256)", busy.privateKey, MANY);
  // It sends a hundred at once, in no order, and its record mixes up their hashes: the chain must put them in order.
  const sent = [];
  for (const { hash } of broadcast("pay").transactions) sent.push(await rpc("eth_getTransactionByHash", hash));
  sent.sort((one, other) => Number(one.nonce) - Number(other.nonce));
  await inOrder(checks, sent.map(({ hash }) => hash), first);
}

async function delegation(checks, { address }) {
  const sig = "delegate(uint256,uint256,address)";
  await forge([
    "script",
    "script/Write.s.sol:Write",
    ...["--sig", sig, owner.privateKey, delegator.privateKey, address],
    ...["--rpc-url", HTTP_URL, "--broadcast", "--non-interactive"],
  ]);
  const [{ hash }] = broadcast("delegate").transactions;
  const { type, status } = await rpc("eth_getTransactionReceipt", hash);
  checks.equal("a script sends an EIP-7702 transaction", [type, status], ["0x4", "0x1"]);
  const code = await rpc("eth_getCode", delegator.address, "latest");
  checks.equal("the account delegates", code, `0xef0100${address.slice(2).toLowerCase()}`);
}

async function reverts(checks, { address }) {
  const refused = await checks.fails("a script that reverts", () =>
    script("refuse(uint256,address)", owner.privateKey, address),
  );
  const said = `${refused.stdout}${refused.stderr}`;
  checks.matches("a script that reverts says the reason", said, /closed on Sundays/);
}

async function tests(checks, { address, writtenAt }) {
  const chain = { NOTEBOOK: address, WRITTEN_AT: String(writtenAt) };
  const command = ["test", "--fork-url", HTTP_URL, "--json"];
  const ended = await forge(command, chain).catch((error) => error);
  const text = ended.stdout ?? ended;
  const [suite] = Object.values(JSON.parse(text.slice(text.indexOf("{"))));
  const outcomes = Object.entries(suite.test_results).map(([name, { status, reason }]) => [name.replace("()", ""), status, reason]);
  const unexpected = outcomes.filter(([name, status]) => (status === "Success") === (name === FAILING));
  checks.equal("tests on a fork pass, but for the one that must fail", unexpected, []);
  checks.holds("all of them ran", outcomes.length === 7, outcomes);
}

await run("forge", async (checks) => {
  await create(checks);
  const book = await writing(checks);
  await delegation(checks, book);
  await reverts(checks, book);
  await tests(checks, book);
  await many(checks);
  checks.ok("type 1 and subscriptions are left out: this client has none");
});
