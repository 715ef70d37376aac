// web3.js 4 as a dapp of some years ago uses it.
import { HDNodeWallet } from "ethers";
import { Web3 } from "web3";
import { CHAIN_ID, HTTP_URL, MANY, MNEMONIC, WS_URL, accountPath, awaited, inOrder, notebook, run } from "./checks.mjs";

const RECIPIENT = "0x0000000000000000000000000000000000003eb3";
const GAS = 2_000_000n;
const POLL_MS = 50;

const web3 = new Web3(HTTP_URL);
web3.setConfig({ transactionPollingInterval: POLL_MS, transactionReceiptPollingInterval: POLL_MS });
const account = (index) => HDNodeWallet.fromPhrase(MNEMONIC, undefined, accountPath(index));
const owner = web3.eth.accounts.wallet.add(account(3).privateKey)[0].address;
/** Owns nothing; gas is free. */
const busy = web3.eth.accounts.privateKeyToAccount(account(30).privateKey);

async function chain(checks) {
  checks.equal("the chain id is the network's", await web3.eth.getChainId(), BigInt(CHAIN_ID));
  checks.equal("net_version is, too", await web3.eth.net.getId(), BigInt(CHAIN_ID));
  checks.matches("the node names itself", await web3.eth.getNodeInfo(), /^Medina\/v/);
  checks.equal("it is not syncing", await web3.eth.isSyncing(), false);
  const fees = await web3.eth.calculateFeeData();
  checks.equal("the base fee is zero where gas is free", fees.baseFeePerGas, 0n);
  const block = await web3.eth.getBlock("latest", true);
  checks.holds("a block can be read", block.number <= (await web3.eth.getBlockNumber()), block.number);
}

async function deploy(checks) {
  const { abi, bytecode } = notebook();
  const factory = new web3.eth.Contract(abi);
  const deployment = factory.deploy({ data: bytecode, arguments: ["Café"] });
  checks.holds("deployment gas is estimated", (await deployment.estimateGas({ from: owner })) > 100_000n);
  const contract = await deployment.send({ from: owner, gas: String(GAS) });
  contract.config.transactionPollingInterval = POLL_MS;
  checks.equal("a call reads what the constructor stored", await contract.methods.title().call(), "Café");
  return contract;
}

async function types(checks) {
  const base = { from: owner, to: RECIPIENT, value: 1n, gas: 30_000n };
  const gasPrice = 0n;
  const legacy = await web3.eth.sendTransaction({ ...base, type: 0n, gasPrice });
  const accessList = [{ address: RECIPIENT, storageKeys: [`0x${"00".repeat(32)}`] }];
  const listed = await web3.eth.sendTransaction({ ...base, type: 1n, gasPrice, accessList });
  const fees = { maxFeePerGas: 0n, maxPriorityFeePerGas: 0n };
  const dynamic = await web3.eth.sendTransaction({ ...base, type: 2n, ...fees });
  const receipts = [legacy, listed, dynamic];
  checks.equal("types 0, 1 and 2 are included", receipts.map(({ type, status }) => [type, status]), [
    [0n, 1n],
    [1n, 1n],
    [2n, 1n],
  ]);
  checks.equal("an access list costs what Ethereum charges", listed.gasUsed - legacy.gasUsed, 4_300n);
  const found = await web3.eth.getTransaction(listed.transactionHash);
  checks.equal("the list is read back", found.accessList?.length, 1);
  checks.ok("type 4 is left out: this client cannot sign it");
}

async function events(checks, contract) {
  const sockets = new Web3(WS_URL);
  const watching = new sockets.eth.Contract(contract.options.jsonInterface, contract.options.address);
  const [delivered, head, pending] = ["an event", "a head", "a pending transaction"].map(awaited);
  const subscriptions = [watching.events.Noted({ filter: { writer: owner } })];
  for (const name of ["newHeads", "pendingTransactions"]) subscriptions.push(await sockets.eth.subscribe(name));
  [delivered, head, pending].forEach((found, index) => {
    subscriptions[index].on("data", found.resolve);
    subscriptions[index].on("error", found.reject);
  });
  await sockets.eth.getBlockNumber();
  const receipt = await contract.methods.note("first").send({ from: owner, gas: String(GAS) });
  const event = await delivered.promise;
  checks.equal("a subscription delivers the event", event.transactionHash, receipt.transactionHash);
  checks.equal("... decoded", [event.returnValues.page, event.returnValues.text], [1n, "first"]);
  checks.holds("a subscription delivers heads", (await head.promise).number > 0n);
  checks.matches("a subscription delivers pending hashes", String(await pending.promise), /^0x[0-9a-f]{64}$/);
  sockets.provider.disconnect();
  checks.equal("the receipt has the event decoded", receipt.events.Noted.returnValues.text, "first");
  const past = await contract.getPastEvents("Noted", { filter: { page: 1 }, fromBlock: 0n });
  checks.equal("getPastEvents finds it", past.map((log) => log.transactionHash), [receipt.transactionHash]);
  const logs = await web3.eth.getPastLogs({ address: contract.options.address, fromBlock: receipt.blockNumber });
  checks.equal("getPastLogs finds it", logs.length, 1);
}

async function reverts(checks, contract) {
  const refused = await checks.fails("refuse", () => contract.methods.refuse("closed on Sundays").call({ from: owner }));
  const told = `${refused.message} ${refused.reason} ${refused.innerError?.message} ${refused.cause?.message}`;
  checks.matches("a revert's reason is decoded", told, /closed on Sundays/);
  const full = await checks.fails("overfill", () => contract.methods.overfill().call({ from: owner }));
  const { errorName, errorArgs } = full.innerError ?? full.cause ?? full;
  checks.equal("a custom error is decoded", [errorName, errorArgs?.pages], ["Full", 1n]);
  const send = () => contract.methods.refuse("no").send({ from: owner, gas: String(GAS) });
  const failed = await checks.fails("send of the same", send);
  checks.matches("a failing send says why", `${failed.message} ${failed.reason}`, /revert|no/);
}

async function many(checks) {
  const first = Number(await web3.eth.getTransactionCount(busy.address, "pending"));
  const hashes = [];
  const common = { to: RECIPIENT, gas: 21_000n, gasPrice: 0n, chainId: CHAIN_ID };
  for (let nonce = first; nonce < first + MANY; nonce += 1) {
    const { rawTransaction, transactionHash } = await busy.signTransaction({ ...common, nonce });
    const sent = await web3.requestManager.send({ method: "eth_sendRawTransaction", params: [rawTransaction] });
    if (sent !== transactionHash) throw new Error(`the node calls it ${sent}, web3.js ${transactionHash}`);
    hashes.push(sent);
  }
  await inOrder(checks, hashes, first);
}

await run("web3.js", async (checks) => {
  await chain(checks);
  const contract = await deploy(checks);
  await types(checks);
  await events(checks, contract);
  await reverts(checks, contract);
  await many(checks);
});
