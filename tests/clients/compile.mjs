// Compiles the contract that all clients deploy, beside the installed packages; run by the test set-up.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const SOURCE = new URL("forge/src/Notebook.sol", import.meta.url);
const FOLDER = new URL("node_modules/.medina/", import.meta.url);

const solc = createRequire(import.meta.url)("solc");
const input = {
  language: "Solidity",
  sources: { "Notebook.sol": { content: readFileSync(SOURCE, "utf8") } },
  settings: { outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } } },
};
const { contracts, errors = [] } = JSON.parse(solc.compile(JSON.stringify(input)));
const broken = errors.filter(({ severity }) => severity === "error");
if (broken.length > 0) throw new Error(broken.map(({ formattedMessage }) => formattedMessage).join("\n"));
const { abi, evm } = contracts["Notebook.sol"].Notebook;
mkdirSync(FOLDER, { recursive: true });
writeFileSync(new URL("Notebook.json", FOLDER), JSON.stringify({ abi, bytecode: `0x${evm.bytecode.object}` }));
