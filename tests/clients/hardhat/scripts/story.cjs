// Run by `hardhat run`: deploys, sends every type, reads logs, fails, and sends many in a row.
const { ethers, network } = require("hardhat");

const { expect } = require("chai");

(async () => {
  const { CHAIN_ID, MANY, eventually, inOrder, notebook, rpc, run } = await import("../../checks.mjs");
  const RECIPIENT = "0x000000000000000000000000000000000000a4a7";

  async function deploy(checks, owner) {
    const factory = await ethers.getContractFactory("Notebook", owner);
    checks.equal("it compiles to what the others deploy", factory.interface.fragments.length, notebook().abi.length);
    const book = await (await factory.deploy("Hard hat")).waitForDeployment();
    checks.equal("a call reads what the constructor stored", await book.title(), "Hard hat");
    const again = await ethers.getContractAt("Notebook", await book.getAddress());
    checks.equal("getContractAt finds it", await again.pages(), 0n);
    return book;
  }

  async function types(checks, owner) {
    const fees = { maxFeePerGas: 0n, maxPriorityFeePerGas: 0n };
    const accessList = [{ address: RECIPIENT, storageKeys: [] }];
    const kinds = [{ type: 0, gasPrice: 0n }, { type: 1, gasPrice: 0n, accessList }, { type: 2, ...fees }];
    const outcomes = [];
    for (const kind of kinds) {
      const sent = await owner.sendTransaction({ to: RECIPIENT, value: 1n, ...kind });
      const receipt = await sent.wait();
      outcomes.push([receipt.type, receipt.status]);
    }
    checks.equal("types 0, 1 and 2 are included", outcomes, [[0, 1], [1, 1], [2, 1]]);
  }

  /** Hardhat's signers cannot sign type 4; the wallet of the ethers that comes with it can. */
  async function delegate(checks, owner, book) {
    const delegator = ethers.HDNodeWallet.fromPhrase(network.config.accounts.mnemonic, undefined, "m/44'/60'/0'/0/35");
    const wallet = delegator.connect(ethers.provider);
    const address = await book.getAddress();
    const nonce = await ethers.provider.getTransactionCount(wallet.address);
    const authorization = await wallet.authorize({ address, nonce: nonce + 1, chainId: CHAIN_ID });
    const transaction = { type: 4, to: owner.address, nonce, chainId: CHAIN_ID, gasLimit: 100_000, authorizationList: [authorization] };
    const raw = await wallet.signTransaction({ ...transaction, maxFeePerGas: 0n, maxPriorityFeePerGas: 0n });
    const receipt = await (await ethers.provider.broadcastTransaction(raw)).wait();
    checks.equal("type 4 is included", [receipt.type, receipt.status], [4, 1]);
    checks.equal("the account delegates", await ethers.provider.getCode(wallet.address), `0xef0100${address.slice(2).toLowerCase()}`);
  }

  async function events(checks, owner, book) {
    const receipt = await (await book.note("a line")).wait();
    checks.equal("the receipt's log is decoded", receipt.logs[0].args.text, "a line");
    const found = await book.queryFilter(book.filters.Noted(owner.address));
    checks.equal("queryFilter finds it", found.map((log) => log.transactionHash), [receipt.hash]);
    const heard = [];
    await book.on("Noted", (_writer, page) => heard.push(page));
    await (await book.note("another")).wait();
    await eventually("an event by polling", () => heard.includes(2n));
    await book.removeAllListeners();
    checks.ok("a listener hears what comes later");
  }

  async function reverts(checks, owner, book) {
    const refused = await checks.fails("refuse", () => book.refuse("closed on Sundays"));
    checks.matches("a revert's reason is decoded", refused.message, /reverted with reason string 'closed on Sundays'|closed on Sundays/);
    await expect(book.overfill()).to.be.revertedWithCustomError(book, "Full").withArgs(owner.address, 2n);
    checks.ok("a custom error is decoded by its matchers");
    const forced = await checks.fails("a forced one", async () => (await book.refuse("no", { gasLimit: 100_000 })).wait());
    checks.equal("a failing transaction is included as failed", forced.receipt?.status, 0);
  }

  async function many(checks, signer) {
    const first = await ethers.provider.getTransactionCount(signer.address, "pending");
    const hashes = [];
    for (let nonce = first; nonce < first + MANY; nonce += 1) {
      // As `signer.sendTransaction` does, but without its question for each transaction's fate.
      const from = signer.address;
      const transaction = { from, to: RECIPIENT, nonce: ethers.toQuantity(nonce), gas: "0x5208", gasPrice: "0x0" };
      hashes.push(await network.provider.send("eth_sendTransaction", [transaction]));
    }
    await inOrder(checks, hashes, first);
  }

  await run("hardhat", async (checks) => {
    const signers = await ethers.getSigners();
    const owner = signers[5];
    checks.equal("the network is found", (await ethers.provider.getNetwork()).chainId, BigInt(CHAIN_ID));
    checks.holds("the accounts are funded", (await ethers.provider.getBalance(owner)) > 0n);
    checks.holds("a raw call goes through", Number(await rpc("eth_blockNumber")) <= (await ethers.provider.getBlockNumber()));
    const book = await deploy(checks, owner);
    await types(checks, owner);
    await delegate(checks, owner, book);
    await events(checks, owner, book);
    await reverts(checks, owner, book);
    await many(checks, signers[6]);
    checks.ok("subscriptions are left out: this client speaks HTTP only");
  });
})();
