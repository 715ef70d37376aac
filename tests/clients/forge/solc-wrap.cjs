#!/usr/bin/env node
// The pinned compiler of npm as forge expects a native one, so that nothing is downloaded.
const solc = require("solc");

if (process.argv.includes("--version")) {
  const version = solc.version().replace("Emscripten.clang", "Linux.g++");
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${version}`);
} else {
  const { readFileSync } = require("node:fs");
  process.stdout.write(solc.compile(readFileSync(0, "utf8")));
}
