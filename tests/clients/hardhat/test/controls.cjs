// A test suite as Hardhat projects write them, on `medina dev` in place of Hardhat's own network.
const { expect } = require("chai");
const { ethers, network } = require("hardhat");
const {
  impersonateAccount,
  loadFixture,
  mine,
  mineUpTo,
  setBalance,
  setCode,
  setNonce,
  setStorageAt,
  stopImpersonatingAccount,
  takeSnapshot,
  time,
} = require("@nomicfoundation/hardhat-network-helpers");

const YEAR = 365 * 24 * 60 * 60;
const COIN = 10n ** 18n;
const RECIPIENT = "0x000000000000000000000000000000000000a4a7";
const STRANGER = "0x00000000000000000000000000000000000057e1";

describe("a development network", () => {
  async function deployed() {
    const [owner, other] = await ethers.getSigners();
    const book = await ethers.deployContract("Notebook", ["Fixture"]);
    await book.note("from the fixture");
    const unlock = (await time.latest()) + YEAR;
    return { book, owner, other, unlock };
  }

  for (const round of ["first", "second", "third"]) {
    it(`begins the ${round} test with the fixture, and nothing else`, async () => {
      const { book, owner, unlock } = await loadFixture(deployed);
      expect(await book.pages()).to.equal(1n);
      expect(await time.latest()).to.be.below(unlock);
      // Not waited for: where transactions make blocks at once, it is included.
      await book.connect(owner).note(round);
      expect(await book.pages()).to.equal(2n);
      expect(await book.textOf(2)).to.equal(round);
      await time.increaseTo(unlock + 1);
      expect(await time.latest()).to.equal(unlock + 1);
    });
  }

  it("signs for its accounts", async () => {
    const [owner] = await ethers.getSigners();
    const message = "no secret";
    expect(ethers.verifyMessage(message, await owner.signMessage(message))).to.equal(owner.address);
    const domain = { name: "Test", chainId: 20_262 };
    const types = { Note: [{ name: "text", type: "string" }] };
    const signature = await owner.signTypedData(domain, types, { text: "hello" });
    expect(ethers.verifyTypedData(domain, types, { text: "hello" }, signature)).to.equal(owner.address);
  });

  it("tells why a transaction would revert", async () => {
    const { book, owner } = await loadFixture(deployed);
    await expect(book.refuse("closed")).to.be.revertedWith("closed");
    await expect(book.overfill()).to.be.revertedWithCustomError(book, "Full").withArgs(owner.address, 1n);
    await expect(book.note("event")).to.emit(book, "Noted").withArgs(owner.address, 2n, "event");
  });

  it("changes balances as transactions say", async () => {
    // The first four belong to the operators here, who are paid the tips.
    const [owner, other] = (await ethers.getSigners()).slice(5);
    const pay = () => owner.sendTransaction({ to: other.address, value: 5n });
    await expect(pay).to.changeEtherBalances([owner, other], [-5n, 5n]);
  });

  it("mines as many blocks as it is told, with the time between them", async () => {
    const before = await ethers.provider.getBlockNumber();
    await mine(5);
    expect(await ethers.provider.getBlockNumber()).to.equal(before + 5);
    await mine(3, { interval: 60 });
    const [first, last] = await Promise.all([before + 6, before + 8].map((height) => ethers.provider.getBlock(height)));
    expect(last.timestamp - first.timestamp).to.equal(120);
    await mineUpTo(before + 20);
    expect(await ethers.provider.getBlockNumber()).to.equal(before + 20);
  });

  it("winds its clock on", async () => {
    const before = await time.latest();
    await time.increase(1_000);
    expect((await time.latest()) - before).to.be.within(1_000, 1_020);
    const next = (await time.latest()) + 77;
    await time.setNextBlockTimestamp(next);
    const [owner] = await ethers.getSigners();
    const receipt = await (await owner.sendTransaction({ to: STRANGER })).wait();
    expect((await ethers.provider.getBlock(receipt.blockNumber)).timestamp).to.equal(next);
    const past = network.provider.send("evm_setNextBlockTimestamp", [next - 1]);
    await expect(past).to.be.rejectedWith(/lower than previous block's timestamp/);
  });

  it("makes no block until it is told to", async () => {
    const [owner] = await ethers.getSigners();
    await network.provider.send("evm_setAutomine", [false]);
    const height = await ethers.provider.getBlockNumber();
    const nonce = await owner.getNonce();
    const sent = [];
    for (const offset of [0, 1, 2]) sent.push(await owner.sendTransaction({ to: STRANGER, nonce: nonce + offset, gasLimit: 21_000 }));
    expect(await ethers.provider.getTransactionReceipt(sent[0].hash)).to.equal(null);
    await network.provider.send("hardhat_dropTransaction", [sent[2].hash]);
    await mine();
    expect(await ethers.provider.getBlockNumber()).to.equal(height + 1);
    const block = await ethers.provider.getBlock(height + 1);
    expect(block.transactions).to.deep.equal([sent[0].hash, sent[1].hash]);
    await network.provider.send("evm_setAutomine", [true]);
    await (await owner.sendTransaction({ to: STRANGER })).wait();
    expect(await owner.getNonce()).to.equal(nonce + 3);
  });

  it("makes blocks by the clock", async () => {
    await network.provider.send("evm_setIntervalMining", [50]);
    const height = await ethers.provider.getBlockNumber();
    while ((await ethers.provider.getBlockNumber()) < height + 3) await ethers.provider.getBlock("latest");
    await network.provider.send("evm_setIntervalMining", [0]);
  });

  it("sets balances, nonces, codes and slots", async () => {
    const { book } = await loadFixture(deployed);
    await setBalance(STRANGER, 7n * COIN);
    expect(await ethers.provider.getBalance(STRANGER)).to.equal(7n * COIN);
    await setNonce(STRANGER, 9);
    expect(await ethers.provider.getTransactionCount(STRANGER)).to.equal(9);
    const copy = "0x00000000000000000000000000000000000c0e1e";
    await setCode(copy, await ethers.provider.getCode(book));
    const copied = await ethers.getContractAt("Notebook", copy);
    expect(await copied.pages()).to.equal(0n);
    await setStorageAt(copy, 1, 42);
    expect(await copied.pages()).to.equal(42n);
    const { stateRoot } = await network.provider.send("eth_getBlockByNumber", ["latest", false]);
    const { accountProof, balance } = await network.provider.send("eth_getProof", [STRANGER, [], "latest"]);
    expect(ethers.keccak256(accountProof[0])).to.equal(stateRoot);
    expect(BigInt(balance)).to.equal(7n * COIN);
  });

  it("sends for accounts whose keys nobody has, contracts among them", async () => {
    const { book } = await loadFixture(deployed);
    for (const address of [STRANGER, await book.getAddress()]) {
      const account = ethers.getAddress(address);
      await setBalance(account, COIN);
      await impersonateAccount(account);
      const signer = await ethers.getSigner(account);
      const receipt = await (await book.connect(signer).note("pretended")).wait();
      expect(receipt.from).to.equal(account);
      const found = await ethers.provider.getTransaction(receipt.hash);
      expect(found.from).to.equal(account);
      expect(receipt.logs[0].args.writer).to.equal(account);
      await stopImpersonatingAccount(account);
      await expect(signer.sendTransaction({ to: RECIPIENT })).to.be.rejectedWith(/unknown account/i);
    }
  });

  it("goes back to a snapshot again and again, with its clock", async () => {
    const { book } = await loadFixture(deployed);
    const [before, at] = [await ethers.provider.getBlock("latest"), await time.latest()];
    const snapshot = await takeSnapshot();
    for (let turn = 0; turn < 3; turn += 1) {
      await book.note(`turn ${turn}`);
      await setBalance(STRANGER, BigInt(turn));
      await time.increase(YEAR);
      await mine(2);
      await snapshot.restore();
      const after = await ethers.provider.getBlock("latest");
      expect([after.number, after.hash]).to.deep.equal([before.number, before.hash]);
      expect(await book.pages()).to.equal(1n);
      await mine();
      expect((await time.latest()) - at).to.be.below(60);
      await snapshot.restore();
    }
    expect(await network.provider.send("evm_revert", ["0xffff"])).to.equal(false);
  });

  it("tells its listeners what was decided anew", async () => {
    const filter = await network.provider.send("eth_newBlockFilter");
    const changes = () => network.provider.send("eth_getFilterChanges", [filter]);
    const snapshot = await takeSnapshot();
    await mine(3);
    expect(await changes()).to.have.lengthOf(3);
    await snapshot.restore();
    await mine();
    const { hash } = await ethers.provider.getBlock("latest");
    expect(await changes()).to.deep.equal([hash]);
  });

  it("says what it is", async () => {
    const info = await network.provider.send("anvil_nodeInfo");
    expect(info.environment.chainId).to.equal(20_262);
    const metadata = await network.provider.send("hardhat_metadata");
    expect(metadata.chainId).to.equal(20_262);
    expect(metadata.latestBlockNumber).to.equal(await ethers.provider.getBlockNumber());
  });

  it("returns to genesis", async () => {
    await network.provider.send("anvil_reset");
    expect(await ethers.provider.getBlockNumber()).to.equal(0);
    const book = await ethers.deployContract("Notebook", ["Anew"]);
    expect(await book.title()).to.equal("Anew");
  });
});
