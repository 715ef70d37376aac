// Offline: the compiler is the pinned one of npm, one folder up.
const { join } = require("node:path");
const { subtask } = require("hardhat/config");
const { TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD } = require("hardhat/builtin-tasks/task-names");
require("@nomicfoundation/hardhat-ethers");
require("@nomicfoundation/hardhat-chai-matchers");

const MNEMONIC = "test test test test test test test test test test test junk";
const WRITES = process.env.MEDINA_HARDHAT_FOLDER ?? join(__dirname, "node_modules", ".medina");

subtask(TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD, async ({ solcVersion }) => {
  const package_ = require.resolve("solc/package.json", { paths: [join(__dirname, "..")] });
  const { version } = require(package_);
  if (version !== solcVersion) throw new Error(`the pinned compiler is ${version}, not ${solcVersion}`);
  return { version, longVersion: version, compilerPath: join(package_, "..", "soljson.js"), isSolcJs: true };
});

const url = process.env.MEDINA_URL ?? "http://127.0.0.1:8545";

module.exports = {
  solidity: "0.8.37",
  paths: {
    root: join(__dirname, ".."),
    sources: "forge/src",
    tests: "hardhat/test",
    artifacts: join(WRITES, "artifacts"),
    cache: join(WRITES, "cache"),
  },
  networks: {
    // Keys of its own, as on any public network.
    medina: { url, chainId: 20_262, accounts: { mnemonic: MNEMONIC } },
    // The node's own accounts, which `medina dev` alone offers. Not under the names "localhost" and "hardhat": Hardhat
    // would not ask these networks for gas, and rely on them to refuse what reverts.
    remote: { url },
  },
};
