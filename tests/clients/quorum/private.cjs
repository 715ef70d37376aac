// web3js-quorum's private side, unmodified: its own calls deploy, call, send and read a private contract.
const Web3 = require("web3");
const Web3Quorum = require("web3js-quorum");

(async () => {
  const { notebook, rpc, run } = await import("../checks.mjs");
  const { alice, bob, carol, account } = JSON.parse(process.argv[3]);
  const GAS = 4_300_000;
  const { abi, bytecode } = notebook();

  // A token can stand nowhere but in the addresses: these clients set no header.
  const of = (party) => new Web3Quorum(new Web3(party.rpc), { privateUrl: party.manager }, true);
  const [web3, web3Bob, web3Carol] = [alice, bob, carol].map(of);
  const code = bytecode.startsWith("0x") ? bytecode : `0x${bytecode}`;
  const signer = web3.eth.accounts.privateKeyToAccount(account);

  const send = async (to, data, privateFor = [bob.key]) => {
    const nonce = await web3.eth.getTransactionCount(signer.address, "pending");
    const common = { gasPrice: 0, gasLimit: GAS, value: 0, from: { privateKey: account }, isPrivate: true };
    return web3.priv.generateAndSendRawTransaction({ ...common, to, data, nonce, privateFrom: alice.key, privateFor });
  };

  async function manager(checks) {
    checks.equal("the transaction manager is up", await web3.ptm.upCheck(), "I'm up!");
    const own = JSON.parse(await web3.ptm.keys());
    checks.equal("it has the party's key", own, { keys: [{ key: alice.key }] });
    const all = JSON.parse(await web3.ptm.partyInfoKeys()).keys.map(({ key }) => key);
    const known = [alice, bob, carol].every(({ key }) => all.includes(key));
    checks.holds("it knows all parties", known, all);
    const stranger = new Web3Quorum(new Web3(alice.rpc), { privateUrl: alice.manager.replace(/\/key\/.*/, "") }, true);
    const refused = await checks.fails("a stranger", () => stranger.ptm.keys());
    checks.equal("a stranger is refused", refused.statusCode, 401);
    checks.equal("the party is the token's", await web3.eth.getPSI(), alice.psi);
  }

  async function deploy(checks) {
    const data = new web3.eth.Contract(abi).deploy({ data: code, arguments: ["Deal"] }).encodeABI();
    const receipt = await send(undefined, data);
    checks.equal("a private contract is deployed", receipt.status, true);
    checks.holds("the receipt names it", Web3.utils.isAddress(receipt.contractAddress), receipt);
    return receipt;
  }

  async function reads(checks, address) {
    for (const [who, client] of [["the sender", web3], ["the recipient", web3Bob]]) {
      const contract = new client.eth.Contract(abi, address);
      const title = await eventually(() => contract.methods.title().call());
      checks.equal(`${who} reads it`, title, "Deal");
      checks.holds(`${who} sees its code`, (await client.eth.getCode(address)).length > 2);
    }
    checks.equal("another party of the chain sees no code", await web3Carol.eth.getCode(address), "0x");
    checks.equal("nor does who has no token", await rpc("eth_getCode", address, "latest"), "0x");
    const data = new web3.eth.Contract(abi).methods.title().encodeABI();
    checks.equal("a call without a token finds nothing", await rpc("eth_call", { to: address, data }, "latest"), "0x");
  }

  /** The recipient's node may come to a transaction a little later. */
  async function eventually(look) {
    for (let turn = 0; ; turn += 1) {
      try {
        return await look();
      } catch (error) {
        if (turn === 200) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async function writes(checks, address) {
    const contract = new web3.eth.Contract(abi, address);
    const data = contract.methods.note("sealed offer").encodeABI();
    const receipt = await send(address, data);
    checks.equal("a private transaction runs", receipt.status, true);
    checks.equal("its receipt has the log", receipt.logs.length, 1);
    const [event] = await contract.getPastEvents("Noted", { fromBlock: 0, toBlock: "latest" });
    checks.equal("getPastEvents finds it", event.returnValues.text, "sealed offer");
    checks.equal("with its public transaction", event.transactionHash, receipt.transactionHash);
    const theirs = new web3Bob.eth.Contract(abi, address);
    const text = await eventually(async () => {
      const seen = await theirs.methods.textOf(1).call();
      if (!seen) throw new Error("not yet");
      return seen;
    });
    checks.equal("the recipient reads what was written", text, "sealed offer");
    const open = await rpc("eth_getLogs", { fromBlock: "0x0", toBlock: "latest", address });
    checks.equal("who has no token finds no log", open, []);
    return receipt;
  }

  async function reverts(checks, address) {
    const contract = new web3.eth.Contract(abi, address);
    const refused = await checks.fails("refuse", () => contract.methods.refuse("no deal").call());
    checks.matches("a revert's reason is decoded", refused.message, /no deal/);
    const receipt = await send(address, contract.methods.refuse("no deal").encodeABI());
    checks.equal("a transaction that reverts has failed", receipt.status, false);
    const strangers = await checks.fails("a send to nobody", () => send(address, "0x00", ["AAAA"]));
    checks.matches("unknown recipients are named", strangers.message, /Recipient not found/);
  }

  async function payloads(checks, sent, data) {
    const { input } = await web3.eth.getTransaction(sent.transactionHash);
    checks.equal("the public transaction carries 64 bytes", input.length, 2 + 128);
    checks.equal("a member reads the payload", await web3.eth.getQuorumPayload(input), data);
    checks.equal("another party reads nothing", await web3Carol.eth.getQuorumPayload(input), "0x");
    await checks.fails("without a token", () => rpc("eth_getQuorumPayload", input));
    const inner = await web3.eth.getPrivateTransactionByHash(sent.transactionHash);
    checks.equal("the private transaction is shown to a member", inner.input, data);
    const meta = await web3.eth.getContractPrivacyMetadata(sent.to);
    checks.equal("the contract's mode is known", Number(meta.privacyFlag), 0);
    const root = await web3.eth.storageRoot(sent.to, "latest");
    checks.equal("members have the same storage root", await eventuallySame(root, sent.to), root);
  }

  async function eventuallySame(root, address) {
    return eventually(async () => {
      const theirs = await web3Bob.eth.storageRoot(address, "latest");
      if (theirs !== root) throw new Error(`${theirs} is not ${root}`);
      return theirs;
    });
  }

  await run("web3js-quorum, private", async (checks) => {
    await manager(checks);
    const { contractAddress } = await deploy(checks);
    await reads(checks, contractAddress);
    const sent = await writes(checks, contractAddress);
    const data = new web3.eth.Contract(abi).methods.note("sealed offer").encodeABI();
    await payloads(checks, { ...sent, to: contractAddress }, data);
    await reverts(checks, contractAddress);
  });
})();
