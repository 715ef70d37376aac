// Compiles solidity/ to artifacts/NAME.json; `--check` compares instead of writing.
//
// The output is reproducible: compiler and libraries are pinned exactly, no
// metadata hash is appended, and keys are written in one order.
import { createRequire } from "node:module";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = dirname(fileURLToPath(import.meta.url));
const SOURCES = join(ROOT, "solidity");
const ARTIFACTS = join(ROOT, "artifacts");
const MODULES = join(ROOT, "node_modules");

/** Deployed code above this many bytes goes to a library (EIP-170 allows 24 576). */
const CODE_BYTES_MAX = 22 * 1024;

/** Every contract that is deployed or called by name; interfaces and bases have no artifact. */
const DEPLOYED = {
  MedinaToken: "MedinaToken.sol",
  Identity: "Identity.sol",
  SensorRegistry: "SensorRegistry.sol",
  DataAnchor: "DataAnchor.sol",
  DataMarketplace: "DataMarketplace.sol",
  TrustAndReputation: "TrustAndReputation.sol",
  FederationRegistry: "FederationRegistry.sol",
  BarteringCoupons: "BarteringCoupons.sol",
  Ed25519Verifier: "Ed25519Verifier.sol",
  Gatekeeper: "Gatekeeper.sol",
  TrustMathHarness: "TrustMathHarness.sol",
  AccessManager: "@openzeppelin/contracts/access/manager/AccessManager.sol",
  ERC1967Proxy: "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol",
  ERC7913P256Verifier: "@openzeppelin/contracts/utils/cryptography/verifiers/ERC7913P256Verifier.sol",
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
  const input = {
    language: "Solidity",
    sources,
    settings: {
      evmVersion: "prague",
      viaIR: true,
      optimizer: { enabled: true, runs: 1000 },
      metadata: { bytecodeHash: "none", appendCBOR: false },
      outputSelection: {
        "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] },
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

const artifacts = artifactsOf(compile());
if (process.argv.includes("--check")) check(artifacts);
else write(artifacts);
