// quorum-js, unmodified: its transaction manager stores, marks and sends; web3.js 1 reads.
const Web3 = require("web3");
const quorumjs = require("quorum-js");

(async () => {
  const { notebook, rpc, run } = await import("../checks.mjs");
  const { alice, bob, account } = JSON.parse(process.argv[3]);
  const GAS = 4_300_000;
  const { abi, bytecode } = notebook();
  const code = bytecode.startsWith("0x") ? bytecode : `0x${bytecode}`;
  // Its helper posts to the provider's address, the token within.
  const web3 = new Web3(new Web3.providers.HttpProvider(alice.rpc));
  quorumjs.extend(web3);
  const manager = quorumjs.RawTransactionManager(web3, { privateUrl: alice.manager });
  const signer = web3.eth.accounts.privateKeyToAccount(account);

  const send = async (to, data, way = "sendRawTransaction") => {
    const nonce = await web3.eth.getTransactionCount(signer.address, "pending");
    const common = { gasPrice: 0, gasLimit: GAS, value: 0, from: signer, isPrivate: true, nonce };
    return manager[way]({ ...common, to, data, privateFrom: alice.key, privateFor: [bob.key] });
  };

  await run("quorum-js", async (checks) => {
    const data = new web3.eth.Contract(abi).deploy({ data: code, arguments: ["Tender"] }).encodeABI();
    const deployed = await send(undefined, data);
    checks.equal("a private contract is deployed", deployed.status, true);
    const contract = new web3.eth.Contract(abi, deployed.contractAddress);
    checks.equal("it is read", await contract.methods.title().call(), "Tender");
    const noted = await send(deployed.contractAddress, contract.methods.note("one").encodeABI());
    checks.equal("a private transaction runs", noted.status, true);
    const again = contract.methods.note("two").encodeABI();
    const viaSend = await send(deployed.contractAddress, again, "sendRawTransactionViaSendAPI");
    checks.equal("so does one whose payload went by /send", viaSend.status, true);
    checks.equal("both are counted", await contract.methods.pages().call(), "2");
    const { input } = await web3.eth.getTransaction(noted.transactionHash);
    const payload = await web3.quorum.eth.getQuorumPayload(input);
    checks.equal("its payload is read", payload, contract.methods.note("one").encodeABI());
    const { privacyFlag } = await web3.quorum.eth.getContractPrivacyMetadata(deployed.contractAddress);
    checks.equal("the contract's mode is known", Number(privacyFlag), 0);
    checks.equal("who has no token sees no code", await rpc("eth_getCode", deployed.contractAddress, "latest"), "0x");
  });
})();
