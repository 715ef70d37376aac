// Writes what an analyser of Solidity reads, for `analyse.sh`: a folder as Hardhat leaves one behind, with the
// sources and one build-info file. The compiler is the pinned solc-js; nothing else needs to be downloaded.
//
//     node build-info.mjs FOLDER
import { createRequire } from "node:module";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = dirname(fileURLToPath(import.meta.url));
const MODULES = join(ROOT, "node_modules");
const folder = process.argv[2];
if (!folder) {
  console.error("usage: node build-info.mjs FOLDER");
  process.exit(2);
}

function solidityFiles(path, prefix = "") {
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    const name = prefix + entry.name;
    if (entry.isDirectory()) return solidityFiles(join(path, entry.name), `${name}/`);
    return name.endsWith(".sol") ? [name] : [];
  });
}

const solc = createRequire(import.meta.url)("solc");
const sources = {};
for (const name of solidityFiles(join(ROOT, "solidity"))) {
  sources[name] = { content: readFileSync(join(ROOT, "solidity", name), "utf8") };
}
const input = {
  language: "Solidity",
  sources,
  settings: {
    evmVersion: "prague",
    viaIR: true,
    // The analysis reads the syntax tree; the code is only asked for because the format wants it.
    optimizer: { enabled: true, runs: 1 },
    outputSelection: {
      "*": {
        "": ["ast"],
        "*": ["abi", "devdoc", "userdoc", "evm.bytecode", "evm.deployedBytecode"],
      },
    },
  },
};
const resolve = (name) => {
  const file = join(MODULES, name);
  return existsSync(file) ? { contents: readFileSync(file, "utf8") } : { error: `no such file: ${name}` };
};
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: resolve }));
const errors = (output.errors ?? []).filter((error) => error.severity === "error");
for (const error of errors) console.error(error.formattedMessage);
if (errors.length > 0) process.exit(1);

cpSync(join(ROOT, "solidity"), folder, { recursive: true });
if (!existsSync(join(folder, "node_modules"))) symlinkSync(MODULES, join(folder, "node_modules"));
writeFileSync(join(folder, "hardhat.config.js"), "module.exports = {};\n");
mkdirSync(join(folder, "artifacts", "build-info"), { recursive: true });
const solcVersion = JSON.parse(readFileSync(join(MODULES, "solc", "package.json"), "utf8")).version;
writeFileSync(
  join(folder, "artifacts", "build-info", "medina.json"),
  JSON.stringify({ solcVersion, input, output }),
);
