// viem as a typed dapp uses it: actions over HTTP, watching over WebSocket.
import {
  BaseError,
  ContractFunctionRevertedError,
  InsufficientFundsError,
  NonceTooLowError,
  createPublicClient,
  createWalletClient,
  defineChain,
  getAddress,
  http,
  keccak256,
  maxUint256,
  parseEventLogs,
  webSocket,
  zeroAddress,
} from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { COIN, HTTP_URL, MANY, MNEMONIC, WS_URL, artifact, awaited, inOrder, notebook, run } from "./checks.mjs";

const POLL_MS = 50;
const HUGE = 10n ** 38n;
const CAP = 1_000_000n * COIN;
const RECIPIENT = getAddress("0x0000000000000000000000000000000000071e3a");
const TOKEN = artifact("MedinaToken");
const MANAGER = artifact("AccessManager");

const chain = defineChain({
  id: 20_262,
  name: "Medina",
  nativeCurrency: { name: "Coin", symbol: "COIN", decimals: 18 },
  rpcUrls: { default: { http: [HTTP_URL], webSocket: [WS_URL] } },
});
const account = (index) => mnemonicToAccount(MNEMONIC, { addressIndex: index });
const settings = { chain, pollingInterval: POLL_MS, cacheTime: 0 };
const batching = createPublicClient({ ...settings, transport: http(HTTP_URL, { batch: true }) });
const reader = createPublicClient({ ...settings, transport: http(HTTP_URL) });
const watcher = createPublicClient({ ...settings, transport: webSocket(WS_URL) });
const owner = account(5);
const wallet = createWalletClient({ ...settings, account: owner, transport: http(HTTP_URL) });
const mined = (hash) => reader.waitForTransactionReceipt({ hash, pollingInterval: POLL_MS });

async function readChain(checks) {
  checks.equal("the chain id is the network's", await reader.getChainId(), chain.id);
  const fees = await reader.estimateFeesPerGas();
  checks.equal("fees are zero where gas is free", [fees.maxFeePerGas, fees.maxPriorityFeePerGas], [0n, 0n]);
  const history = await reader.getFeeHistory({ blockCount: 4, rewardPercentiles: [50] });
  const lengths = [history.baseFeePerGas.length - history.gasUsedRatio.length, history.reward.length];
  checks.equal("fee history has one more base fee than blocks", lengths, [1, history.gasUsedRatio.length]);
  const [number, balance, code, block] = await Promise.all([
    batching.getBlockNumber(),
    batching.getBalance({ address: owner.address }),
    batching.getCode({ address: owner.address }),
    batching.getBlock({ includeTransactions: true }),
  ]);
  checks.equal("a batch of reads is answered", [balance >= 1_000n * COIN, code], [true, undefined]);
  checks.holds("the head is not behind the block number", block.number >= number, block);
}

async function deploy({ abi, bytecode }, args) {
  const receipt = await mined(await wallet.deployContract({ abi, bytecode, args }));
  return getAddress(receipt.contractAddress);
}

async function deployToken(checks) {
  const manager = await deploy(MANAGER, [owner.address]);
  const address = await deploy(TOKEN, ["Viem", "VIEM", CAP, owner.address, manager]);
  const token = { address, abi: TOKEN.abi };
  checks.equal("constructor arguments arrived", await reader.readContract({ ...token, functionName: "symbol" }), "VIEM");
  const { result } = await reader.simulateContract({ ...token, functionName: "totalSupply" });
  checks.equal("simulateContract answers", result, 0n);
  return token;
}

/** Subscribes, lets `act` happen, and returns what was delivered. */
async function watch(checks, token) {
  const [head, log] = [awaited("a head over WebSocket"), awaited("an event over WebSocket")];
  const numbers = [];
  let until = maxUint256;
  const seen = (block) => {
    numbers.push(block.number);
    if (block.number >= until) head.resolve();
  };
  const stop = [
    watcher.watchBlocks({ onBlock: seen, onError: head.reject }),
    watcher.watchContractEvent({
      ...token,
      eventName: "Transfer",
      args: { to: RECIPIENT },
      onLogs: ([first]) => log.resolve(first),
      onError: log.reject,
    }),
  ];
  // Answers come in order, so the subscriptions exist when this is answered.
  await watcher.getBlockNumber({ cacheTime: 0 });
  const mint = (to, value) => wallet.writeContract({ ...token, functionName: "mint", args: [to, value] });
  await mined(await mint(owner.address, 5n * COIN));
  const receipt = await mined(await mint(RECIPIENT, 5n));
  until = receipt.blockNumber;
  if (numbers.at(-1) >= until) head.resolve();
  const delivered = await log.promise;
  checks.equal("a subscription delivers the event", delivered.transactionHash, receipt.transactionHash);
  checks.equal("... decoded", delivered.args, { from: zeroAddress, to: RECIPIENT, value: 5n });
  await head.promise;
  const expected = numbers.map((_, index) => numbers[0] + BigInt(index));
  checks.equal("watchBlocks sees every block once and in order", numbers, expected);
  stop.forEach((unwatch) => unwatch());
  return receipt;
}

async function findEvents(checks, token, receipt) {
  const query = { ...token, eventName: "Transfer", args: { to: RECIPIENT } };
  const filter = await reader.createContractEventFilter(query);
  const blocks = await reader.createBlockFilter();
  const found = await reader.getContractEvents({ ...query, fromBlock: 0n });
  checks.equal("getContractEvents finds it", found.map((event) => event.transactionHash), [receipt.transactionHash]);
  const [parsed] = parseEventLogs({ abi: token.abi, logs: receipt.logs });
  checks.equal("the receipt's log is the same", [parsed.args, parsed.logIndex], [found[0].args, found[0].logIndex]);
  const hash = await wallet.writeContract({ ...token, functionName: "transfer", args: [RECIPIENT, 6n] });
  const { blockHash } = await mined(hash);
  const changes = await reader.getFilterChanges({ filter });
  checks.equal("a polling filter delivers what came since", changes.map((log) => log.args.value), [6n]);
  checks.equal("... once", await reader.getFilterChanges({ filter }), []);
  checks.holds("a block filter delivers the block", (await reader.getFilterChanges({ filter: blocks })).includes(blockHash));
  checks.equal("a filter can be removed", await reader.uninstallFilter({ filter }), true);
}

/** The error of a kind that `action` must fail with. */
async function failsWith(checks, what, kind, action) {
  const error = await checks.fails(what, action);
  const found = error instanceof BaseError ? error.walk((inner) => inner instanceof kind) : null;
  checks.holds(what, found instanceof kind, error.message);
  return found;
}

async function errors(checks, token) {
  const transfer = { ...token, functionName: "transfer", args: [RECIPIENT, HUGE] };
  const simulate = () => reader.simulateContract({ ...transfer, account: owner });
  const reverted = await failsWith(checks, "simulateContract reverts", ContractFunctionRevertedError, simulate);
  checks.equal("a custom error is decoded", reverted.data?.errorName, "ERC20InsufficientBalance");
  checks.equal("... with its arguments", reverted.data.args, [owner.address, 5n * COIN - 6n, HUGE]);
  const write = () => wallet.writeContract(transfer);
  const unsent = await failsWith(checks, "writeContract reverts before it sends", ContractFunctionRevertedError, write);
  checks.equal("estimating gas decodes it too", unsent.data?.errorName, "ERC20InsufficientBalance");
  const failed = await mined(await wallet.writeContract({ ...transfer, gas: 200_000n }));
  checks.equal("a failing transaction is mined as reverted", failed.status, "reverted");

  const send = (transaction) => wallet.sendTransaction({ to: RECIPIENT, gas: 21_000n, ...transaction });
  await failsWith(checks, "a used nonce is NonceTooLowError", NonceTooLowError, () => send({ value: 1n, nonce: 0 }));
  await failsWith(checks, "an overdraft is InsufficientFundsError", InsufficientFundsError, () => send({ value: HUGE }));
}

async function sends(checks) {
  const before = await reader.getBalance({ address: RECIPIENT });
  const pair = [];
  for (const value of [1n, 2n]) pair.push(await wallet.sendTransaction({ to: RECIPIENT, value }));
  const [first, second] = await Promise.all(pair.map((hash) => reader.getTransaction({ hash })));
  checks.equal("two sends in a row have nonces in a row", second.nonce - first.nonce, 1);
  checks.equal("they are EIP-1559 transactions", [first.type, second.type], ["eip1559", "eip1559"]);
  const receipts = await Promise.all(pair.map(mined));
  checks.equal("both are included", receipts.map((receipt) => receipt.status), ["success", "success"]);
  const legacy = await mined(await wallet.sendTransaction({ to: RECIPIENT, value: 3n, type: "legacy" }));
  checks.equal("a legacy transaction is included", [legacy.type, legacy.status], ["legacy", "success"]);
  checks.equal("the recipient has all three", await reader.getBalance({ address: RECIPIENT }), before + 6n);

  const request = await wallet.prepareTransactionRequest({ to: RECIPIENT, value: 4n });
  const serializedTransaction = await wallet.signTransaction(request);
  const receipt = await wallet.sendRawTransactionSync({ serializedTransaction, timeout: 20_000 });
  const outcome = [receipt.transactionHash, receipt.status];
  checks.equal("sendRawTransactionSync answers the receipt", outcome, [keccak256(serializedTransaction), "success"]);
}

async function types(checks) {
  const accessList = [{ address: RECIPIENT, storageKeys: [] }];
  const fees = { maxFeePerGas: 0n, maxPriorityFeePerGas: 0n };
  const kinds = [{ type: "legacy", gasPrice: 0n }, { type: "eip2930", gasPrice: 0n, accessList }, { type: "eip1559", ...fees }];
  const outcomes = [];
  for (const kind of kinds) {
    const receipt = await mined(await wallet.sendTransaction({ to: RECIPIENT, value: 1n, ...kind }));
    outcomes.push([receipt.type, receipt.status]);
  }
  checks.equal("types 0, 1 and 2 are included", outcomes, kinds.map(({ type }) => [type, "success"]));
}

async function reason(checks) {
  const address = await deploy(notebook(), ["Viem"]);
  const refuse = { abi: notebook().abi, address, functionName: "refuse", args: ["closed on Sundays"], account: owner };
  const simulate = () => reader.simulateContract(refuse);
  const refused = await failsWith(checks, "refuse reverts", ContractFunctionRevertedError, simulate);
  checks.equal("a revert's reason is decoded", refused.reason, "closed on Sundays");
}

async function many(checks) {
  const busy = account(41);
  const first = await reader.getTransactionCount({ address: busy.address, blockTag: "pending" });
  const common = { type: "eip1559", to: RECIPIENT, gas: 21_000n, chainId: chain.id, maxFeePerGas: 0n, maxPriorityFeePerGas: 0n };
  const hashes = [];
  for (let nonce = first; nonce < first + MANY; nonce += 1) {
    const serializedTransaction = await busy.signTransaction({ ...common, nonce });
    hashes.push(await reader.sendRawTransaction({ serializedTransaction }));
  }
  await inOrder(checks, hashes, first);
}

async function state(checks, token) {
  const { number, stateRoot } = await reader.getBlock();
  const proof = await reader.getProof({ address: token.address, storageKeys: ["0x2"], blockNumber: number });
  checks.equal("the account proof begins at the state root", keccak256(proof.accountProof[0]), stateRoot);
  const supply = await reader.readContract({ ...token, functionName: "totalSupply", blockNumber: number });
  checks.equal("the storage proof has the value", proof.storageProof[0].value, supply);
  const override = [{ address: RECIPIENT, balance: HUGE }];
  const { data } = await reader.call({ account: RECIPIENT, to: owner.address, value: HUGE, stateOverride: override });
  checks.equal("a call with overridden state runs", data, undefined);
}

async function delegate(checks, token) {
  const delegator = account(6);
  const authorize = async (contractAddress) => {
    const authorization = await wallet.signAuthorization({ account: delegator, contractAddress });
    return mined(await wallet.sendTransaction({ to: RECIPIENT, authorizationList: [authorization] }));
  };
  const receipt = await authorize(token.address);
  checks.equal("an EIP-7702 transaction is included", [receipt.type, receipt.status], ["eip7702", "success"]);
  const delegation = await reader.getDelegation({ address: delegator.address });
  checks.equal("getDelegation names the contract", delegation, token.address);
  await authorize(zeroAddress);
  checks.equal("the delegation is gone again", await reader.getCode({ address: delegator.address }), undefined);
}

await run("viem", async (checks) => {
  await readChain(checks);
  const token = await deployToken(checks);
  const receipt = await watch(checks, token);
  await findEvents(checks, token, receipt);
  await errors(checks, token);
  await sends(checks);
  await state(checks, token);
  await delegate(checks, token);
  await types(checks);
  await reason(checks);
  await many(checks);
});
