// web3js-quorum on the web3.js 1 that it extends: what it asks of a network without private transactions.
const Web3 = require("web3");
const Web3Quorum = require("web3js-quorum");

(async () => {
  const shared = await import("../checks.mjs");
  const { HDNodeWallet } = await import("ethers");
  const { CHAIN_ID, HTTP_URL, MANY, MNEMONIC, WS_URL, accountPath, awaited, inOrder, notebook, rpc, run } = shared;

  const RECIPIENT = "0x000000000000000000000000000000000000900d";
  const GAS = 2_000_000;
  const web3 = new Web3Quorum(new Web3(HTTP_URL), {}, true);
  web3.eth.transactionPollingInterval = 50;
  const account = (index) => HDNodeWallet.fromPhrase(MNEMONIC, undefined, accountPath(index));
  const owner = web3.eth.accounts.wallet.add(account(9).privateKey).address;
  const busy = web3.eth.accounts.privateKeyToAccount(account(38).privateKey);

  async function consensus(checks) {
    const validators = await web3.istanbul.getValidators("latest");
    checks.equal("istanbul.getValidators names four", validators.length, 4);
    const number = await web3.eth.getBlockNumber();
    const { hash } = await web3.eth.getBlock(number);
    checks.equal("istanbul.getValidatorsAtHash says the same", await web3.istanbul.getValidatorsAtHash(hash), validators);
    const own = await web3.istanbul.nodeAddress();
    checks.holds("istanbul.nodeAddress is one of them", validators.includes(own), own);
    checks.equal("istanbul.isValidator says so", await web3.istanbul.isValidator("latest"), true);
    checks.equal("istanbul.candidates is empty", await web3.istanbul.candidates(), {});
    const snapshot = await web3.istanbul.getSnapshot("latest");
    checks.equal("istanbul.getSnapshot has them, too", [...snapshot.validators].sort(), [...validators].sort());
    const signers = await web3.istanbul.getSignersFromBlock(number);
    checks.holds("istanbul.getSignersFromBlock has a quorum", signers.Committers.length >= 3, signers);
    checks.holds("... of validators", signers.Committers.every((signer) => validators.includes(signer)), signers);
    const status = await web3.istanbul.status(...[number - 1, number].map((height) => web3.utils.toHex(height)));
    checks.equal("istanbul.status counts blocks", status.numBlocks, 2);
    const vote = await checks.fails("istanbul.propose", () => web3.istanbul.propose(RECIPIENT, true));
    checks.matches("istanbul.propose says how it is done here", vote.message, /medina validator|ballot/i);
    const role = await checks.fails("raft.role", () => web3.raft.role());
    checks.matches("raft.role is refused where QBFT decides", role.message, /raft/i);
  }

  async function deploy(checks) {
    const { abi, bytecode } = notebook();
    const factory = new web3.eth.Contract(abi);
    const contract = await factory.deploy({ data: bytecode, arguments: ["Quorum"] }).send({ from: owner, gas: GAS, gasPrice: 0 });
    checks.equal("a call reads what the constructor stored", await contract.methods.title().call(), "Quorum");
    return contract;
  }

  async function types(checks) {
    const base = { from: owner, to: RECIPIENT, value: 1, gas: 30_000 };
    const kinds = [
      { gasPrice: 0 },
      { type: 1, gasPrice: 0, accessList: [{ address: RECIPIENT, storageKeys: [] }] },
      { type: 2, maxFeePerGas: 0, maxPriorityFeePerGas: 0 },
    ];
    const outcomes = [];
    for (const kind of kinds) {
      const { type, status } = await web3.eth.sendTransaction({ ...base, ...kind });
      outcomes.push([web3.utils.hexToNumber(type), status]);
    }
    checks.equal("types 0, 1 and 2 are included", outcomes, [[0, true], [1, true], [2, true]]);
    checks.ok("type 4 is left out: this client cannot sign it");
  }

  async function events(checks, contract) {
    const sockets = new Web3(WS_URL);
    const watching = new sockets.eth.Contract(contract.options.jsonInterface, contract.options.address);
    const [delivered, head, subscribed] = ["an event", "a head", "the subscription"].map((what) => awaited(what));
    watching.events.Noted({ filter: { writer: owner } }).on("data", delivered.resolve).on("error", delivered.reject);
    const heads = sockets.eth.subscribe("newBlockHeaders");
    heads.on("data", head.resolve).on("error", head.reject).on("connected", subscribed.resolve);
    await subscribed.promise;
    await sockets.eth.getBlockNumber();
    const receipt = await contract.methods.note("first").send({ from: owner, gas: GAS, gasPrice: 0 });
    checks.equal("a subscription delivers the event", (await delivered.promise).transactionHash, receipt.transactionHash);
    checks.holds("a subscription delivers heads", (await head.promise).number > 0);
    sockets.currentProvider.disconnect();
    checks.equal("the receipt has the event decoded", receipt.events.Noted.returnValues.text, "first");
    const past = await contract.getPastEvents("Noted", { filter: { page: 1 }, fromBlock: 0 });
    checks.equal("getPastEvents finds it", past.map((log) => log.transactionHash), [receipt.transactionHash]);
  }

  async function reverts(checks, contract) {
    const refused = await checks.fails("refuse", () => contract.methods.refuse("closed on Sundays").call({ from: owner }));
    checks.matches("a revert's reason is decoded", refused.message, /closed on Sundays/);
    web3.eth.handleRevert = true;
    const send = () => contract.methods.refuse("no more").send({ from: owner, gas: GAS, gasPrice: 0 });
    const failed = await checks.fails("send of the same", send);
    web3.eth.handleRevert = false;
    checks.matches("a failing send says why", `${failed.message} ${failed.reason}`, /no more|reverted/);
  }

  async function many(checks) {
    const first = await web3.eth.getTransactionCount(busy.address, "pending");
    const hashes = [];
    const common = { to: RECIPIENT, value: 0, gas: 21_000, gasPrice: 0, chainId: CHAIN_ID };
    for (let nonce = first; nonce < first + MANY; nonce += 1) {
      const { rawTransaction, transactionHash } = await busy.signTransaction({ ...common, nonce });
      hashes.push(await rpc("eth_sendRawTransaction", rawTransaction));
      if (hashes.at(-1) !== transactionHash) throw new Error("the node calls it otherwise");
    }
    await inOrder(checks, hashes, first);
  }

  await run("web3js-quorum", async (checks) => {
    checks.equal("the chain id is the network's", await web3.eth.getChainId(), CHAIN_ID);
    const contract = await deploy(checks);
    await types(checks);
    await consensus(checks);
    await events(checks, contract);
    await reverts(checks, contract);
    await many(checks);
  });
})();
