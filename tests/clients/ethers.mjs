// ethers as a dapp uses it: deploy, send, wait, events, errors, batches.
import {
  Contract,
  ContractFactory,
  HDNodeWallet,
  JsonRpcProvider,
  NonceManager,
  Signature,
  Transaction,
  WebSocketProvider,
  ZeroAddress,
  getAddress,
  isError,
} from "ethers";
import { COIN, HTTP_URL, MANY, MNEMONIC, WS_URL, accountPath, artifact, awaited, inOrder, notebook, run } from "./checks.mjs";

const POLL_MS = 50;
/** Far less than the watchdog of all checks, far more than a block takes without one validator. */
const RECEIPT_WAIT_MS = 20_000;
const HUGE = 10n ** 38n;
const CAP = 1_000_000n * COIN;
const CHAIN_ID = 20_262n;
const RECIPIENT = getAddress("0x0000000000000000000000000000000000e73e25");

const account = (index) => HDNodeWallet.fromPhrase(MNEMONIC, undefined, accountPath(index));

function httpProvider(options) {
  const provider = new JsonRpcProvider(HTTP_URL, undefined, options);
  provider.pollingInterval = POLL_MS;
  return provider;
}

async function chain(checks, provider, owner) {
  checks.equal("the network is found", (await provider.getNetwork()).chainId, CHAIN_ID);
  // ethers takes a base fee of zero for none and sends legacy transactions then.
  checks.equal("gas costs nothing", (await provider.getFeeData()).gasPrice, 0n);
  checks.holds("the account is funded", (await provider.getBalance(owner)) >= 1_000n * COIN);
  const batches = [];
  const listen = ({ action, payload }) => {
    if (action === "sendRpcPayload" && Array.isArray(payload)) batches.push(payload.length);
  };
  await provider.on("debug", listen);
  const reads = await Promise.all([
    provider.getBlockNumber(),
    provider.getBalance(owner),
    provider.getTransactionCount(owner),
    provider.getCode(owner),
    provider.getStorage(owner, 0),
    provider.getBlock("latest"),
    provider.getBlock("finalized"),
  ]);
  await provider.off("debug", listen);
  checks.equal("a batch of reads is answered", reads.slice(3, 5), ["0x", `0x${"00".repeat(32)}`]);
  checks.holds("the reads went out as a batch", batches.some((size) => size >= 5), batches);
  checks.holds("every block is final", reads[6].number >= reads[0], reads.slice(5));
}

async function deploy(name, signer, ...parameters) {
  const { abi, bytecode } = artifact(name);
  const contract = await new ContractFactory(abi, bytecode, signer).deploy(...parameters);
  const receipt = await contract.deploymentTransaction().wait();
  return { contract, receipt, address: await contract.getAddress() };
}

async function deployToken(checks, owner) {
  const manager = await deploy("AccessManager", owner, owner.address);
  checks.equal("the receipt names the contract", manager.receipt.contractAddress, manager.address);
  const token = await deploy("MedinaToken", owner, "Éther", "ETH6", CAP, owner.address, manager.address);
  checks.equal("constructor arguments arrived", await token.contract.name(), "Éther");
  const wrong = await checks.fails("constructor with the zero address", () =>
    deploy("AccessManager", owner, ZeroAddress),
  );
  checks.equal("a constructor's revert is a call exception", wrong.code, "CALL_EXCEPTION");
  checks.equal("... with its data", wrong.data?.slice(0, 10), "0x0813ada2");
  return token.contract;
}

async function events(checks, token, owner) {
  const address = await token.getAddress();
  const socket = new WebSocketProvider(WS_URL);
  const [overSocket, overFilter, head] = ["a log over WebSocket", "a log by polling filter", "a new head"].map(awaited);
  const amount = 5n * COIN;
  const listen = (found) => (event) => found.resolve([...event.args, event.log.transactionHash]);
  const socketToken = new Contract(address, token.interface, socket);
  await socketToken.on(socketToken.filters.Transfer(ZeroAddress), listen(overSocket));
  const filterProvider = httpProvider({ polling: false });
  const filterToken = new Contract(address, token.interface, filterProvider);
  await filterToken.on(filterToken.filters.Transfer(null, RECIPIENT), listen(overFilter));
  await socket.on("block", (number) => head.resolve(number));
  // Both answer in order, so the subscriptions exist when these do.
  await Promise.all([socket.getBlockNumber(), filterProvider.getBlockNumber()]);

  const minted = await (await token.mint(RECIPIENT, amount)).wait();
  const expected = [ZeroAddress, RECIPIENT, amount, minted.hash];
  checks.equal("a WebSocket subscription delivers the event", await overSocket.promise, expected);
  checks.equal("a polling filter delivers the event", await overFilter.promise, expected);
  checks.holds("a WebSocket subscription delivers heads", (await head.promise) > 0);
  await Promise.all([socketToken.removeAllListeners(), filterToken.removeAllListeners()]);
  await socket.destroy();
  filterProvider.destroy();

  await (await token.mint(owner.address, amount)).wait();
  const found = await token.queryFilter(token.filters.Transfer(null, RECIPIENT), 0, "latest");
  checks.equal("queryFilter finds it by topic", found.map((event) => event.transactionHash), [minted.hash]);
  const all = await token.queryFilter("Transfer", minted.blockNumber);
  checks.equal("queryFilter finds all by name", all.length, 2);
}

async function errors(checks, token, provider, owner) {
  const refused = await checks.fails("overdrawn transfer", () => token.transfer.staticCall(RECIPIENT, HUGE));
  checks.equal("a custom error is decoded", refused.revert?.name, "ERC20InsufficientBalance");
  checks.equal("... with its arguments", [...refused.revert.args], [owner.address, 5n * COIN, HUGE]);
  const estimated = await checks.fails("send of the same", () => token.transfer(RECIPIENT, HUGE));
  const parsed = token.interface.parseError(estimated.data ?? "0x");
  checks.equal("estimating gas has its data too", parsed?.name, "ERC20InsufficientBalance");
  const forced = await token.transfer(RECIPIENT, HUGE, { gasLimit: 200_000 });
  const failed = await checks.fails("wait for the failing transaction", () => forced.wait());
  checks.equal("a failing transaction is mined with status 0", [failed.code, failed.receipt?.status], ["CALL_EXCEPTION", 0]);

  const send = (transaction) => owner.sendTransaction({ to: RECIPIENT, gasLimit: 21_000, ...transaction });
  const low = await checks.fails("used nonce", () => send({ value: 1, nonce: 0 }));
  checks.equal("a used nonce is NONCE_EXPIRED", [low.code, isError(low, "NONCE_EXPIRED")], ["NONCE_EXPIRED", true]);
  const poor = await checks.fails("overdraft", () => send({ value: HUGE }));
  checks.equal("an overdraft is INSUFFICIENT_FUNDS", poor.code, "INSUFFICIENT_FUNDS");
  const other = await checks.fails("other chain", async () => {
    const transaction = { to: RECIPIENT, gasLimit: 21_000, gasPrice: 0, nonce: 0, chainId: 1 };
    return provider.broadcastTransaction(await account(4).signTransaction(transaction));
  });
  checks.matches("a transaction of another chain is refused", other.message, /chain/i);
}

async function manySends(checks, provider, quick, managed) {
  const pay = (signer, value) => signer.sendTransaction({ to: RECIPIENT, value });
  const before = await provider.getBalance(RECIPIENT, "latest");
  const pair = [await pay(quick, 1n), await pay(quick, 2n)];
  checks.equal("two sends in a row have nonces in a row", pair[1].nonce - pair[0].nonce, 1);
  const found = await provider.getTransaction(pair[1].hash);
  checks.equal("a transaction is visible by hash at once", found?.hash, pair[1].hash);
  const paid = await Promise.all(pair.map((sent) => sent.wait()));
  checks.equal("both are included", paid.map((receipt) => receipt.status), [1, 1]);
  const many = await Promise.all([3n, 4n, 5n, 6n].map((value) => pay(managed, value)));
  const receipts = await Promise.all(many.map((sent) => sent.wait()));
  checks.equal("four sends at once are included", receipts.map((receipt) => receipt.status), [1, 1, 1, 1]);
  const fresh = httpProvider();
  checks.equal("the recipient has all six", await fresh.getBalance(RECIPIENT), before + 21n);
  fresh.destroy();
}

/** Default settings: ethers asks for a receipt once, and again only after a further block. */
async function patience(checks, signer) {
  for (let count = 0; count < 5; count += 1) {
    const provider = new JsonRpcProvider(HTTP_URL);
    const sent = await signer.connect(provider).sendTransaction({ to: RECIPIENT, value: 1n });
    const receipt = await sent.wait(1, RECEIPT_WAIT_MS);
    if (receipt.status !== 1) throw new Error(`transaction ${sent.hash} failed`);
    provider.destroy();
  }
  checks.ok("wait ends with default settings, without a further block");
}

async function permit(checks, token, owner) {
  const { name, version, chainId, verifyingContract } = await token.eip712Domain();
  const message = {
    owner: owner.address,
    spender: RECIPIENT,
    value: 3n,
    nonce: await token.nonces(owner.address),
    deadline: 2n ** 63n,
  };
  const fields = { owner: "address", spender: "address", value: "uint256", nonce: "uint256", deadline: "uint256" };
  const types = { Permit: Object.entries(fields).map(([field, type]) => ({ name: field, type })) };
  const domain = { name, version, chainId, verifyingContract };
  const { v, r, s } = Signature.from(await owner.signTypedData(domain, types, message));
  await (await token.permit(owner.address, RECIPIENT, 3n, message.deadline, v, r, s)).wait();
  checks.equal("a permit signed for this chain counts", await token.allowance(owner.address, RECIPIENT), 3n);
}

async function sync(checks, provider, owner) {
  const nonce = await provider.getTransactionCount(owner.address, "pending");
  const transaction = { to: RECIPIENT, value: 1, gasLimit: 21_000, gasPrice: 0, nonce, chainId: CHAIN_ID };
  const raw = await owner.signTransaction(transaction);
  const receipt = await provider.send("eth_sendRawTransactionSync", [raw, 20_000]);
  checks.equal("eth_sendRawTransactionSync answers the receipt", receipt.transactionHash, Transaction.from(raw).hash);
}

async function types(checks, provider, owner) {
  const fees = { maxFeePerGas: 0n, maxPriorityFeePerGas: 0n };
  const accessList = [{ address: RECIPIENT, storageKeys: [] }];
  const kinds = [{ type: 0, gasPrice: 0n }, { type: 1, gasPrice: 0n, accessList }, { type: 2, ...fees }];
  const receipts = [];
  for (const kind of kinds) receipts.push(await (await owner.sendTransaction({ to: RECIPIENT, value: 1n, ...kind })).wait());
  const target = await deploy("AccessManager", owner, owner.address);
  const delegator = account(34).connect(provider);
  const authorization = await delegator.authorize({ address: target.address, nonce: 0, chainId: CHAIN_ID });
  const delegating = { type: 4, to: RECIPIENT, gasLimit: 100_000n, ...fees, authorizationList: [authorization] };
  receipts.push(await (await owner.sendTransaction(delegating)).wait());
  const outcomes = receipts.map(({ type, status }) => [type, status]);
  checks.equal("types 0, 1, 2 and 4 are included", outcomes, [[0, 1], [1, 1], [2, 1], [4, 1]]);
  const code = await provider.getCode(delegator.address);
  checks.equal("the account delegates", code, `0xef0100${target.address.slice(2).toLowerCase()}`);
}

async function reason(checks, owner) {
  const { abi, bytecode } = notebook();
  const book = await (await new ContractFactory(abi, bytecode, owner).deploy("Ethers")).waitForDeployment();
  const refused = await checks.fails("refuse", () => book.refuse("closed on Sundays"));
  checks.equal("a revert's reason is decoded", refused.reason, "closed on Sundays");
}

async function many(checks, provider, busy) {
  const first = await provider.getTransactionCount(busy.address, "pending");
  const hashes = [];
  const common = { type: 2, to: RECIPIENT, gasLimit: 21_000, chainId: CHAIN_ID, maxFeePerGas: 0, maxPriorityFeePerGas: 0 };
  for (let nonce = first; nonce < first + MANY; nonce += 1) {
    const raw = await busy.signTransaction({ ...common, nonce });
    // `broadcastTransaction` asks for the height with each of them.
    hashes.push(await provider.send("eth_sendRawTransaction", [raw]));
  }
  await inOrder(checks, hashes, first);
}

await run("ethers", async (checks) => {
  // ethers caches what it reads for 250 ms, blocks here are faster.
  const provider = httpProvider({ cacheTimeout: -1 });
  const owner = account(3).connect(provider);
  await chain(checks, provider, owner.address);
  const token = await deployToken(checks, owner);
  await events(checks, token, owner);
  await errors(checks, token, provider, owner);
  await permit(checks, token, owner);
  // Sends at once need a nonce manager.
  const managed = new NonceManager(account(4).connect(httpProvider({ cacheTimeout: -1 })));
  await manySends(checks, provider, owner, managed);
  await sync(checks, provider, owner);
  await patience(checks, account(7));
  await types(checks, provider, owner);
  await reason(checks, owner);
  await many(checks, provider, account(40));
});
