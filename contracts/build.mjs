// Compiles solidity/ to artifacts/NAME.json; `--check` compares instead of writing.
//
// The output is reproducible: compiler and libraries are pinned exactly, no
// metadata hash is appended, and keys are written in one order.
//
// layout.json is what lies where in the state of each upgradeable module. It is compared as well, and a change
// that is no appending is refused even when writing: an upgrade would read one thing for another.
import { createRequire } from "node:module";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = dirname(fileURLToPath(import.meta.url));
const SOURCES = join(ROOT, "solidity");
const ARTIFACTS = join(ROOT, "artifacts");
const MODULES = join(ROOT, "node_modules");
const LAYOUT = join(ROOT, "layout.json");

/** Deployed code above this many bytes goes to a library (EIP-170 allows 24 576). */
const CODE_BYTES_MAX = 22 * 1024;

/** Every contract that is deployed or called by name; interfaces and bases have no artifact. */
const DEPLOYED = {
  MedinaToken: "MedinaToken.sol",
  Identity: "Identity.sol",
  Permissioning: "Permissioning.sol",
  SensorRegistry: "SensorRegistry.sol",
  DataAnchor: "DataAnchor.sol",
  DataMarketplace: "DataMarketplace.sol",
  MarketOrders: "MarketOrders.sol",
  TrustAndReputation: "TrustAndReputation.sol",
  FederationRegistry: "FederationRegistry.sol",
  FederationBallots: "FederationBallots.sol",
  SlaRegistry: "SlaRegistry.sol",
  BarteringCoupons: "BarteringCoupons.sol",
  ConsentAndAccess: "ConsentAndAccess.sol",
  IncidentRegistry: "IncidentRegistry.sol",
  SealedDelivery: "SealedDelivery.sol",
  PrivateGroups: "PrivateGroups.sol",
  Ed25519Verifier: "Ed25519Verifier.sol",
  Gatekeeper: "Gatekeeper.sol",
  TrustMathHarness: "TrustMathHarness.sol",
  AccessManager: "@openzeppelin/contracts/access/manager/AccessManager.sol",
  ERC1967Proxy: "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol",
  ERC7913P256Verifier: "@openzeppelin/contracts/utils/cryptography/verifiers/ERC7913P256Verifier.sol",
  ERC7913WebAuthnVerifier: "@openzeppelin/contracts/utils/cryptography/verifiers/ERC7913WebAuthnVerifier.sol",
};

function fail(message) {
  console.error(`contracts: ${message}`);
  process.exit(1);
}

function solidityFiles(folder, prefix = "") {
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const name = prefix + entry.name;
      if (entry.isDirectory()) return solidityFiles(join(folder, entry.name), `${name}/`);
      return name.endsWith(".sol") ? [name] : [];
    });
}

/** Where a module's state is declared, if not in its own file. */
const STATE_FILES = {
  DataMarketplace: "base/MarketState.sol",
  FederationRegistry: "base/FederationState.sol",
};

function stateFile(name) {
  return join(SOURCES, STATE_FILES[name] ?? DEPLOYED[name]);
}

/** Modules whose state is one ERC-7201 struct named `Storage`. */
const UPGRADEABLE = Object.keys(DEPLOYED).filter((name) => {
  const file = stateFile(name);
  return existsSync(file) && /^    struct Storage \{$/m.test(readFileSync(file, "utf8"));
});

/** A contract with one variable of the module's struct, because the compiler lays out variables only. */
function probe(name) {
  return `// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;
import {${name}} from "${DEPLOYED[name]}";
contract ${name}Layout { ${name}.Storage private state; }
`;
}

function compile() {
  if (!existsSync(join(MODULES, "solc"))) fail("solc is not installed; run `npm ci` in contracts/");
  const solc = createRequire(import.meta.url)("solc");
  const sources = {};
  for (const name of solidityFiles(SOURCES)) {
    sources[name] = { content: readFileSync(join(SOURCES, name), "utf8") };
  }
  for (const name of Object.values(DEPLOYED)) {
    if (name.startsWith("@")) sources[name] = { content: readFileSync(join(MODULES, name), "utf8") };
  }
  for (const name of UPGRADEABLE) sources[`layout/${name}.sol`] = { content: probe(name) };
  const input = {
    language: "Solidity",
    sources,
    settings: {
      evmVersion: "prague",
      viaIR: true,
      optimizer: { enabled: true, runs: 1000 },
      metadata: { bytecodeHash: "none", appendCBOR: false },
      outputSelection: {
        "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "storageLayout"] },
      },
    },
  };
  const resolve = (name) => {
    const file = join(MODULES, name);
    if (!existsSync(file)) return { error: `no such file: ${name}` };
    return { contents: readFileSync(file, "utf8") };
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: resolve }));
  const problems = (output.errors ?? []).filter(
    (e) => e.severity === "error" || !(e.sourceLocation?.file ?? "").startsWith("@"),
  );
  for (const problem of problems) console.error(problem.formattedMessage);
  if (problems.length > 0) fail(`${problems.length} errors or warnings (both are refused)`);
  return output.contracts;
}

/** Every struct of a module as lines `slot+offset type name`, without the compiler's own numbering. */
function layoutOf(contracts) {
  const layout = {};
  for (const name of UPGRADEABLE) {
    const types = contracts[`layout/${name}.sol`][`${name}Layout`].storageLayout.types;
    const own = contracts[DEPLOYED[name]][name].storageLayout.storage;
    const constant = /bytes32 private constant STORAGE = (0x[0-9a-f]{64});/.exec(
      readFileSync(stateFile(name), "utf8"),
    );
    if (!constant) fail(`${name} does not say where its state lies`);
    const structs = {};
    for (const type of Object.values(types).filter((t) => t.members)) {
      structs[type.label] = type.members.map(
        (m) => `${m.slot}+${m.offset} ${types[m.type].label} ${m.label}`,
      );
    }
    const sorted = Object.entries(structs).sort(([a], [b]) => (a < b ? -1 : 1));
    // Of libraries that keep their own; a module's state is all in its struct.
    const outside = own.map((v) => `${v.slot}+${v.offset} ${v.label}`);
    layout[name] = { at: constant[1], outside, structs: Object.fromEntries(sorted) };
  }
  return layout;
}

/** What an upgrade from `old` to `now` would misread. */
function misread(old, now) {
  const wrong = [];
  for (const [name, before] of Object.entries(old)) {
    const after = now[name];
    if (!after) continue;
    if (after.at !== before.at) wrong.push(`${name} lies elsewhere`);
    if (`${after.outside}` !== `${before.outside}`) wrong.push(`${name} has other state outside its struct`);
    for (const [struct, members] of Object.entries(before.structs)) {
      members.forEach((member, index) => {
        const found = after.structs[struct]?.[index];
        if (found !== member) wrong.push(`${struct}: "${member}" became "${found ?? "nothing"}"`);
      });
    }
  }
  return wrong;
}

function artifactsOf(contracts) {
  const artifacts = new Map();
  for (const [name, file] of Object.entries(DEPLOYED)) {
    const contract = contracts[file]?.[name];
    if (!contract) fail(`${file} has no contract ${name}`);
    const deployed = contract.evm.deployedBytecode.object;
    const bytes = deployed.length / 2;
    if (bytes > CODE_BYTES_MAX) fail(`${name} is ${bytes} bytes, more than ${CODE_BYTES_MAX}`);
    const artifact = {
      contractName: name,
      abi: contract.abi,
      bytecode: `0x${contract.evm.bytecode.object}`,
      deployedBytecode: `0x${deployed}`,
    };
    artifacts.set(`${name}.json`, { text: `${JSON.stringify(artifact, null, 1)}\n`, bytes });
  }
  return artifacts;
}

function check(artifacts) {
  const wrong = [];
  for (const [file, { text }] of artifacts) {
    const path = join(ARTIFACTS, file);
    if (!existsSync(path) || readFileSync(path, "utf8") !== text) wrong.push(file);
  }
  for (const file of readdirSync(ARTIFACTS)) if (!artifacts.has(file)) wrong.push(`${file} (no source)`);
  if (wrong.length > 0) fail(`artifacts differ from sources: ${wrong.join(", ")}; run \`node build.mjs\``);
  console.log(`${artifacts.size} artifacts match their sources`);
}

function write(artifacts) {
  mkdirSync(ARTIFACTS, { recursive: true });
  for (const file of readdirSync(ARTIFACTS)) if (!artifacts.has(file)) rmSync(join(ARTIFACTS, file));
  for (const [file, { text, bytes }] of artifacts) {
    writeFileSync(join(ARTIFACTS, file), text);
    console.log(`${file.padEnd(28)} ${String(bytes).padStart(6)} bytes`);
  }
}

const contracts = compile();
const artifacts = artifactsOf(contracts);
const layout = layoutOf(contracts);
const layoutText = `${JSON.stringify(layout, null, 1)}\n`;
const known = existsSync(LAYOUT) ? readFileSync(LAYOUT, "utf8") : "{}";
if (process.argv.includes("--check")) {
  check(artifacts);
  if (known !== layoutText) fail("layout.json differs from the sources; run `node build.mjs`");
  console.log(`state of ${UPGRADEABLE.length} modules lies where layout.json says`);
} else {
  const wrong = misread(JSON.parse(known), layout);
  if (wrong.length > 0 && !process.argv.includes("--new-layout")) {
    for (const line of wrong) console.error(`contracts: ${line}`);
    fail("deployed state would be misread; append members, or say --new-layout where nothing is deployed");
  }
  write(artifacts);
  writeFileSync(LAYOUT, layoutText);
}
