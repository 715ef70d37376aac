// The calls that MetaMask makes of a node, in its order and shape: adding the network, sending, speeding up,
// cancelling. The wallet itself lives in a browser; signing is ethers', and every request carries the extension's
// origin, as a browser would send it.
import { HDNodeWallet, Interface, Transaction, ZeroAddress, id, toQuantity } from "ethers";
import { WebSocket } from "ws";
import { CHAIN_ID, COIN, HTTP_URL, MANY, MNEMONIC, WS_URL, accountPath, awaited, eventually, inOrder, notebook } from "./checks.mjs";
import { run } from "./checks.mjs";

const ORIGIN = "chrome-extension://nkbihfbeogaeaoehlefnkodbefgpgknn";
const SHOP = "https://shop.example";
const RECIPIENT = "0x0000000000000000000000000000000000003e7a";
/** What it adds to a fee when the user speeds up or cancels. */
const SPEED_UP = 110n;
const GWEI = 10n ** 9n;
/** Blocks after which it gives up waiting for the base fee to fall; it asks feeHistory for as many. */
const FEE_HISTORY = "0x5";

const wallet = (index) => HDNodeWallet.fromPhrase(MNEMONIC, undefined, accountPath(index));
let nextId = 1;

async function ask(method, ...params) {
  const body = JSON.stringify({ id: nextId++, jsonrpc: "2.0", method, params });
  const headers = { "Content-Type": "application/json", Accept: "application/json", Origin: ORIGIN };
  const response = await fetch(HTTP_URL, { method: "POST", headers, body });
  const { result, error } = await response.json();
  if (error) throw Object.assign(new Error(error.message), error);
  return result;
}

/** EIP-3085: the extension compares what the page says with what the node says. */
async function addNetwork(checks) {
  for (const origin of [ORIGIN, SHOP]) {
    const preflight = await fetch(HTTP_URL, {
      method: "OPTIONS",
      headers: {
        Origin: origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
        "Access-Control-Request-Private-Network": "true",
      },
    });
    const allowed = ["origin", "methods", "headers"].map((name) => preflight.headers.get(`access-control-allow-${name}`));
    const wanted = [origin, "POST", "content-type"];
    const isAllowed = wanted.every((value, index) => {
      const list = (allowed[index] ?? "").split(/, */);
      return list.includes("*") || list.includes(value);
    });
    checks.holds(`the preflight of ${new URL(origin).protocol} is answered`, preflight.ok && isAllowed, allowed);
  }
  checks.equal("eth_chainId is the one to be added", await ask("eth_chainId"), toQuantity(CHAIN_ID));
  checks.equal("net_version is the same in decimal", await ask("net_version"), String(CHAIN_ID));
  const block = await ask("eth_getBlockByNumber", "latest", false);
  checks.matches("a base fee says that EIP-1559 is served", block.baseFeePerGas, /^0x[0-9a-f]+$/);
  const probe = await checks.fails("an account of the page's", () => ask("personal_listAccounts"));
  checks.equal("an unknown method is -32601", probe.code, -32601);
}

/** What it asks when an account is shown. */
async function show(checks, account) {
  const number = await ask("eth_blockNumber");
  checks.holds("the block tracker hears a number", Number(number) >= 0, number);
  const balance = BigInt(await ask("eth_getBalance", account.address, number));
  checks.holds("the balance at that block is the genesis funds", balance >= 900n * COIN, balance);
  checks.equal("an account is no contract", await ask("eth_getCode", account.address, "latest"), "0x");
}

/** The fees that it suggests: base fee of the next block twice, and the rewards of the last blocks. */
async function fees(checks) {
  const history = await ask("eth_feeHistory", FEE_HISTORY, "latest", [10, 20, 30]);
  const rewards = history.reward ?? [];
  checks.equal("fee history has a row of rewards per block", rewards.every((row) => row.length === 3), true);
  checks.matches("a gas price stands in where that fails", await ask("eth_gasPrice"), /^0x/);
  const base = BigInt(history.baseFeePerGas.at(-1));
  // Where gas is free the user may still offer a tip; without one nothing could be sped up.
  return { maxFeePerGas: base * 2n + GWEI, maxPriorityFeePerGas: GWEI };
}

async function prepare(account, request) {
  const from = account.address;
  const code = await ask("eth_getCode", request.to ?? ZeroAddress, "latest");
  const gasLimit = code === "0x" && request.to && !request.data ? "0x5208" : await ask("eth_estimateGas", { from, ...request });
  const nonce = Number(await ask("eth_getTransactionCount", from, "pending"));
  return { ...request, gasLimit, nonce, chainId: CHAIN_ID, type: 2 };
}

const publish = async (account, transaction) => ask("eth_sendRawTransaction", await account.signTransaction(transaction));

/** It polls receipts with every block. */
const included = (hash) => eventually(`the receipt of ${hash}`, () => ask("eth_getTransactionReceipt", hash));

async function send(checks, account) {
  const fee = await fees(checks);
  const transaction = { ...(await prepare(account, { to: RECIPIENT, value: toQuantity(7) })), ...fee };
  const hash = await publish(account, transaction);
  const pending = await ask("eth_getTransactionByHash", hash);
  checks.equal("a sent transaction is found at once", pending?.hash, hash);
  const receipt = await included(hash);
  checks.equal("it is included", [receipt.status, receipt.type], ["0x1", "0x2"]);
  const block = await ask("eth_getBlockByHash", receipt.blockHash, false);
  checks.equal("its block can be read by hash", block.number, receipt.blockNumber);
  const nonce = await ask("eth_getTransactionCount", account.address, "latest");
  checks.equal("the nonce has moved", Number(nonce), transaction.nonce + 1);
  return fee;
}

const raised = (fee) => (fee * SPEED_UP + 99n) / 100n;

/** A transaction that waits for one before it, so that there is time to replace it. */
async function waiting(account, fee) {
  const first = { ...(await prepare(account, { to: RECIPIENT, value: toQuantity(1) })), ...fee };
  const second = { ...first, nonce: first.nonce + 1 };
  return { first, second, hash: await publish(account, second) };
}

async function replace(checks, account, fee, what, replacing) {
  const { first, second, hash } = await waiting(account, fee);
  const quicker = {
    ...second,
    ...replacing,
    maxFeePerGas: raised(second.maxFeePerGas),
    maxPriorityFeePerGas: raised(second.maxPriorityFeePerGas),
  };
  const same = { ...quicker, maxFeePerGas: second.maxFeePerGas + 1n };
  const cheap = await checks.fails(`${what} for too little`, () => publish(account, { ...same, maxPriorityFeePerGas: GWEI }));
  checks.matches(`${what} for too little is refused in geth's words`, cheap.message, /replacement transaction underpriced/);
  const again = await checks.fails(`${what}: the same again`, () => publish(account, second));
  checks.matches(`${what}: the same again is already known`, again.message, /already known/);
  const replacement = await publish(account, quicker);
  checks.equal(`${what}: the first one is gone`, await ask("eth_getTransactionByHash", hash), null);
  await publish(account, first);
  const receipt = await included(replacement);
  checks.equal(`${what}: the second one is included`, receipt.status, "0x1");
  checks.equal(`${what}: the first one never is`, await ask("eth_getTransactionReceipt", hash), null);
  const late = await checks.fails(`${what}: too late`, () => publish(account, { ...second, ...fee, value: toQuantity(3) }));
  checks.matches(`${what}: once included it is too late`, late.message, /nonce too low/);
  return receipt;
}

/** A page deploys, signs in, calls and fails through the wallet. */
async function page(checks, account, fee) {
  const { abi, bytecode } = notebook();
  const notes = new Interface(abi);
  const data = `${bytecode}${notes.encodeDeploy(["Wallet"]).slice(2)}`;
  const deployed = await included(await publish(account, { ...(await prepare(account, { data })), ...fee }));
  const to = deployed.contractAddress;
  const call = (name, ...values) => ask("eth_call", { from: account.address, to, data: notes.encodeFunctionData(name, values) }, "latest");
  checks.equal("a page's contract is deployed", notes.decodeFunctionResult("title", await call("title"))[0], "Wallet");

  const socket = new WebSocket(WS_URL);
  const [opened, event] = [awaited("the socket"), awaited("an event over WebSocket")];
  socket.onopen = opened.resolve;
  await opened.promise;
  const subscribed = awaited("the subscription");
  socket.onmessage = ({ data: text }) => {
    const message = JSON.parse(text);
    if (message.id === 1) subscribed.resolve(message.result);
    else if (message.params) event.resolve(message.params.result);
  };
  const filter = { address: to, topics: [id("Noted(address,uint256,string)")] };
  socket.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_subscribe", params: ["logs", filter] }));
  await subscribed.promise;
  const note = { to, data: notes.encodeFunctionData("note", ["hello"]) };
  const noted = await included(await publish(account, { ...(await prepare(account, note)), ...fee }));
  checks.equal("a subscription tells the page", (await event.promise).transactionHash, noted.transactionHash);
  socket.close();
  const logs = await ask("eth_getLogs", { ...filter, fromBlock: "0x0", toBlock: "latest" });
  checks.equal("eth_getLogs finds the event", notes.parseLog(logs[0]).args.text, "hello");

  const refuse = { to, data: notes.encodeFunctionData("refuse", ["sold out"]) };
  const refused = await checks.fails("estimate of a revert", () => prepare(account, refuse));
  checks.equal("a revert is code 3 with its reason", [refused.code, refused.message], [3, "execution reverted: sold out"]);
  const full = await checks.fails("a custom error", () => call("overfill"));
  checks.equal("a custom error comes as data", notes.parseError(full.data)?.name, "Full");
  const forced = { ...refuse, gasLimit: "0x186a0", chainId: CHAIN_ID, type: 2 };
  forced.nonce = Number(await ask("eth_getTransactionCount", account.address, "pending"));
  const failed = await included(await publish(account, { ...forced, ...fee }));
  checks.equal("a failing transaction is included as failed", failed.status, "0x0");
}

async function types(checks, account) {
  const nonce = Number(await ask("eth_getTransactionCount", account.address, "pending"));
  const common = { to: RECIPIENT, value: 1n, gasLimit: 60_000, chainId: CHAIN_ID };
  const prices = { maxFeePerGas: GWEI, maxPriorityFeePerGas: 0n };
  const accessList = [{ address: RECIPIENT, storageKeys: [] }];
  const authorization = await account.authorize({ address: ZeroAddress, nonce: nonce + 4, chainId: CHAIN_ID });
  const sent = [
    { ...common, type: 0, gasPrice: 0n, nonce },
    { ...common, type: 1, gasPrice: 0n, nonce: nonce + 1, accessList },
    { ...common, type: 2, nonce: nonce + 2, ...prices },
    // "Switch back to a standard account" is an authorisation of the zero address.
    { ...common, type: 4, nonce: nonce + 3, ...prices, authorizationList: [authorization] },
  ];
  const hashes = [];
  for (const transaction of sent) hashes.push(await publish(account, transaction));
  const receipts = await Promise.all(hashes.map(included));
  const outcomes = receipts.map(({ type, status }) => [Number(type), Number(status)]);
  checks.equal("types 0, 1, 2 and 4 are included", outcomes, [[0, 1], [1, 1], [2, 1], [4, 1]]);
  const after = Number(await ask("eth_getTransactionCount", account.address, "latest"));
  checks.equal("an authorisation of oneself counts as a nonce", after, nonce + 5);
}

async function many(checks, account) {
  const first = Number(await ask("eth_getTransactionCount", account.address, "pending"));
  const hashes = [];
  const common = { to: RECIPIENT, value: 0n, gasLimit: 21_000, type: 2, chainId: CHAIN_ID, maxFeePerGas: 0n, maxPriorityFeePerGas: 0n };
  for (let nonce = first; nonce < first + MANY; nonce += 1) {
    const raw = await account.signTransaction({ ...common, nonce });
    hashes.push(await ask("eth_sendRawTransaction", raw));
    if (hashes.at(-1) !== Transaction.from(raw).hash) throw new Error("the node calls it otherwise");
  }
  await inOrder(checks, hashes, first);
}

await run("MetaMask's calls", async (checks) => {
  const account = wallet(8);
  await addNetwork(checks);
  await show(checks, account);
  const fee = await send(checks, account);
  const quick = await replace(checks, account, fee, "speeding up", {});
  checks.equal("speeding up pays the recipient", quick.to, RECIPIENT);
  const none = { to: account.address, value: "0x0", data: "0x" };
  const cancelled = await replace(checks, account, fee, "cancelling", none);
  checks.equal("cancelling pays oneself nothing", cancelled.to, account.address.toLowerCase());
  await page(checks, account, fee);
  await types(checks, account);
  await many(checks, wallet(31));
});
