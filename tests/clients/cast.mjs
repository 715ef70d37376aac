// Foundry's `cast` as an operator uses it in a shell.
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { COIN, HTTP_URL, MANY, MNEMONIC, WS_URL, awaited, inOrder, notebook, run, skip } from "./checks.mjs";

const BINARY = binary();
const RECIPIENT = "0x00000000000000000000000000000000000CA570";
const HASH = /^0x[0-9a-f]{64}$/;
const AT_ONCE = 4;
const HUGE = 10n ** 38n;

/** The program that the package `@foundry-rs/cast` of the same version starts. */
function binary() {
  try {
    return createRequire(import.meta.url).resolve("@foundry-rs/cast-linux-amd64/bin/cast");
  } catch {
    skip(`no pinned cast for ${process.platform} on ${process.arch}`);
  }
}

// A home of its own: no configuration of the user's, no cache of an earlier chain.
const home = mkdtempSync(join(tmpdir(), "medina-cast-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));
const env = {
  HOME: home,
  PATH: process.env.PATH,
  ETH_RPC_URL: HTTP_URL,
  FOUNDRY_OFFLINE: "true",
  NO_COLOR: "1",
};
const execute = promisify(execFile);

async function cast(...parameters) {
  const { stdout } = await execute(BINARY, parameters.map(String), { cwd: home, env, maxBuffer: 1 << 24 });
  return stdout.trim();
}

const castJson = async (...parameters) => JSON.parse(await cast(...parameters, "--json"));

async function account(index) {
  const phrase = ["--mnemonic", MNEMONIC, "--mnemonic-index", index];
  const key = await cast("wallet", "private-key", ...phrase);
  return { key, address: await cast("wallet", "address", "--private-key", key) };
}

/** Code that reverts with `data`: copies what follows its 12 bytes and reverts with it. */
function reverting(data) {
  const bytes = data.slice(2);
  const length = (bytes.length / 2).toString(16).padStart(2, "0");
  return `0x60${length}600c60003960${length}6000fd${bytes}`;
}

async function chain(checks) {
  checks.equal("chain-id is the network's", await cast("chain-id"), "20262");
  checks.matches("client names itself", await cast("client"), /^Medina\/v/);
  checks.equal("gas-price is zero where gas is free", await cast("gas-price"), "0");
  checks.equal("basefee is zero where gas is free", await cast("basefee"), "0");
  checks.equal("rpc eth_syncing says no", await cast("rpc", "eth_syncing"), "false");
  const error = await checks.fails("unknown method", () => cast("rpc", "anvil_nodeInfo"));
  checks.matches("an unknown method is -32601", error.stderr, /error code -32601/);
  const contracts = JSON.parse(await cast("rpc", "medina_contracts"));
  checks.matches("rpc medina_contracts names the token", contracts.medinaToken, /^0x[0-9a-f]{40}$/);
  return contracts.medinaToken;
}

async function sendCoins(checks, payer) {
  const balance = async (address) => BigInt(await cast("balance", address));
  const nonce = async () => Number(await cast("nonce", payer.address));
  const before = { recipient: await balance(RECIPIENT), nonce: await nonce() };
  checks.holds("balance shows the genesis funds", (await balance(payer.address)) >= 1_000n * COIN);
  const send = (...more) => castJson("send", "--private-key", payer.key, RECIPIENT, "--value", "7", ...more);

  const dynamic = await send();
  checks.equal("send makes an EIP-1559 transaction", [dynamic.type, dynamic.status], ["0x2", "0x1"]);
  const legacy = await send("--legacy");
  checks.equal("send --legacy makes a legacy one", [legacy.type, legacy.status], ["0x0", "0x1"]);
  const listed = await send("--legacy", "--access-list", JSON.stringify([{ address: RECIPIENT, storageKeys: [] }]));
  checks.equal("send --access-list makes one with the list", [listed.type, listed.status], ["0x1", "0x1"]);
  checks.equal("gas used follows Ethereum", Number(listed.gasUsed) - Number(dynamic.gasUsed), 2_400);
  checks.equal("the recipient has all three payments", await balance(RECIPIENT), before.recipient + 21n);
  checks.equal("nonce counts them", await nonce(), before.nonce + 3);
  checks.holds("block-number is at least theirs", Number(await cast("block-number")) >= Number(listed.blockNumber));

  const block = await castJson("block", legacy.blockNumber);
  checks.holds("block lists the transaction", block.transactions.includes(legacy.transactionHash), block);
  const found = await castJson("tx", legacy.transactionHash);
  const expected = [payer.address.toLowerCase(), "0x7", legacy.blockHash];
  checks.equal("tx finds the transaction", [found.from, found.value, found.blockHash], expected);
  const receipt = await castJson("receipt", legacy.transactionHash);
  checks.equal("receipt is what send printed", receipt, legacy);

  const used = await checks.fails("used nonce", () => send("--nonce", "0"));
  checks.matches("a used nonce is refused in geth's words", used.stderr, /nonce too low/);
  const overdraft = () => cast("send", "--private-key", payer.key, RECIPIENT, "--value", `${HUGE}`);
  const refused = await checks.fails("overdraft", overdraft);
  checks.matches("an overdraft is refused in geth's words", refused.stderr, /insufficient funds for gas/);
}

async function useToken(checks, token, payer) {
  checks.equal("call reads the token's name", await cast("call", token, "name()(string)"), '"Medina"');
  checks.matches("code shows the contract", await cast("code", token), /^0x6080[0-9a-f]{4000}/);
  const transfer = [token, "transfer(address,uint256)", RECIPIENT];
  const estimate = Number(await cast("estimate", ...transfer, "5", "--from", payer.address));
  checks.holds("estimate is more than a plain payment", estimate > 21_000, estimate);
  const found = await castJson("access-list", ...transfer, "5", "--from", payer.address);
  checks.equal("access-list names the token", found.accessList.map((entry) => entry.address), [token]);

  const sent = await castJson("send", "--private-key", payer.key, ...transfer, "5", "--access-list");
  checks.equal("send --access-list asks the node for the list", sent.status, "0x1");
  const tight = await castJson("send", "--private-key", payer.key, ...transfer, "5", "--gas-limit", estimate);
  checks.equal("the estimate suffices", tight.status, "0x1");
  const event = "Transfer(address indexed,address indexed,uint256)";
  const range = ["--from-block", "earliest", "--address", token];
  const logs = await castJson("logs", ...range, event, payer.address, RECIPIENT);
  const ours = logs.filter((log) => log.transactionHash === sent.transactionHash);
  checks.equal("logs finds the event by its topics", ours, sent.logs);
  checks.matches("run replays the transaction", await cast("run", sent.transactionHash), /successfully executed/);

  const mint = () => cast("send", "--private-key", payer.key, token, "mint(address,uint256)", RECIPIENT, "1");
  const refused = await checks.fails("mint without the role", mint);
  const data = /data: "(0x[0-9a-f]+)"/.exec(refused.stderr)?.[1] ?? "no data";
  checks.matches("a failing send says so with the data", refused.stderr, /error code 3: execution reverted, data/);
  const decoded = await cast("decode-error", "--sig", "AccessManagedUnauthorized(address)", data);
  checks.equal("the data decodes to the custom error", decoded, payer.address);

  const reason = await cast("calldata", "Error(string)", "closed on Sundays");
  const closed = () => cast("call", token, "name()", "--override-code", `${token}:${reverting(reason)}`);
  const error = await checks.fails("call of overridden code", closed);
  checks.matches("a failing call shows the decoded reason", error.stderr, /execution reverted: closed on Sundays/);
}

async function readState(checks, token, payer) {
  const slot = await cast("index", "address", payer.address, "0");
  const held = await cast("call", token, "balanceOf(address)", payer.address);
  checks.equal("storage reads the balance's slot", await cast("storage", token, slot), held);
  const proof = JSON.parse(await cast("proof", token, slot));
  const [entry] = proof.storageProof;
  checks.equal("proof has the same value", BigInt(entry.value), BigInt(held));
  checks.equal("the storage proof begins at its root", await cast("keccak", entry.proof[0]), proof.storageHash);
  const { stateRoot } = await castJson("block", "latest");
  checks.matches("the head has a state root", stateRoot, HASH);
  const past = await cast("call", token, "balanceOf(address)", payer.address, "--block", "0");
  checks.equal("call reads history", BigInt(past) - BigInt(held) >= 10n, true);
}

/** EIP-7702: an account takes the token's code and puts it away again. */
async function delegate(checks, token, payer, delegator) {
  const authorize = async (target) => {
    const signed = await cast("wallet", "sign-auth", "--private-key", delegator.key, target);
    return castJson("send", "--private-key", payer.key, RECIPIENT, "--auth", signed);
  };
  const receipt = await authorize(token);
  checks.equal("send --auth makes an EIP-7702 transaction", [receipt.type, receipt.status], ["0x4", "0x1"]);
  const code = await cast("code", delegator.address);
  checks.equal("code shows the delegation", code, `0xef0100${token.slice(2)}`);
  const name = await cast("call", delegator.address, "decimals()(uint8)");
  checks.equal("the account answers as the token", name, "18");
  await authorize("0x0000000000000000000000000000000000000000");
  checks.equal("the delegation is gone again", await cast("code", delegator.address), "0x");
}

async function deploy(checks, payer) {
  const { bytecode } = notebook();
  const title = (await cast("abi-encode", "c(string)", "Cast")).slice(2);
  const receipt = await castJson("send", "--private-key", payer.key, "--create", bytecode + title);
  const book = receipt.contractAddress;
  checks.equal("send --create deploys", await cast("call", book, "title()(string)"), '"Cast"');
  return book;
}

/** `logs --subscribe` prints what comes, until it is interrupted. */
async function subscribe(checks, payer, book) {
  const listening = ["logs", "--subscribe", "--rpc-url", WS_URL, "--address", book, "--json"];
  const listener = spawn(BINARY, listening, { cwd: home, env, stdio: ["ignore", "pipe", "ignore"] });
  const heard = awaited("a log over WebSocket");
  listener.stdout.on("data", (data) => heard.resolve(String(data)));
  listener.on("exit", () => heard.reject(new Error("cast logs --subscribe ended")));
  let isHeard = false;
  heard.promise.then(() => (isHeard = true), () => {});
  // It does not say when the subscription exists, so pages are written until it hears of one.
  for (let page = 1; !isHeard; page += 1) {
    await cast("send", "--private-key", payer.key, book, "note(string)", `page ${page}`);
  }
  checks.matches("logs --subscribe prints the event", (await heard.promise).toLowerCase(), new RegExp(book.toLowerCase()));
  listener.removeAllListeners("exit");
  listener.kill();
}

/** As many at once as a shell's `xargs -P` would start; the chain puts them in order. */
async function many(checks, sender) {
  const first = Number(await cast("nonce", sender.address));
  const hashes = [];
  const prices = ["--legacy", "--gas-price", "0", "--gas-limit", "21000", "--chain", "20262"];
  let next = 0;
  const work = async () => {
    while (next < MANY) {
      const index = next++;
      const order = ["--private-key", sender.key, "--nonce", first + index, ...prices];
      hashes[index] = await cast("send", "--async", ...order, RECIPIENT);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  await inOrder(checks, hashes, first);
}

await run("cast", async (checks) => {
  const [payer, delegator] = [await account(1), await account(2)];
  const token = await chain(checks);
  await sendCoins(checks, payer);
  await useToken(checks, token, payer);
  await readState(checks, token, payer);
  await delegate(checks, token, payer, delegator);
  await subscribe(checks, payer, await deploy(checks, payer));
  await many(checks, await account(42));
});
