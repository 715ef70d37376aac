// Hardhat as a project uses it: its console, and a script run by it.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { HTTP_URL, awaited } from "./checks.mjs";

const FOLDER = fileURLToPath(new URL("hardhat", import.meta.url));
const PROGRAM = join(FOLDER, "node_modules", "hardhat", "internal", "cli", "bootstrap.js");

const home = mkdtempSync(join(tmpdir(), "medina-hardhat-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));
const env = {
  PATH: process.env.PATH,
  HOME: home,
  XDG_DATA_HOME: home,
  XDG_CONFIG_HOME: home,
  XDG_CACHE_HOME: home,
  MEDINA_URL: HTTP_URL,
  MEDINA_RPC: HTTP_URL,
  MEDINA_HARDHAT_FOLDER: home,
  MEDINA_MANY: process.env.MEDINA_MANY ?? "1000",
  // Neither reports nor asks whether it may.
  HARDHAT_DISABLE_TELEMETRY_PROMPT: "true",
  CI: "true",
  NO_COLOR: "1",
};
const settings = { cwd: FOLDER, env, encoding: "utf8", stdio: ["pipe", "pipe", "pipe"] };
const hardhat = (...parameters) => [PROGRAM, "--network", "medina", ...parameters];

function fail(text) {
  console.error(`FAILED  hardhat: ${text}`);
  process.exit(1);
}

try {
  const typed = "console.log('height', await ethers.provider.getBlockNumber(), (await ethers.getSigners()).length)\n";
  const shown = execFileSync("node", hardhat("console", "--no-compile"), { ...settings, input: `${typed}.exit\n` });
  if (!/height \d+ 20/.test(shown)) fail(`its console shows ${shown}`);
  console.log("ok  hardhat: its console answers");
} catch (error) {
  fail(`its console: ${error.stdout}${error.stderr}`);
}

const ended = awaited("the script");
const script = spawn("node", hardhat("run", "scripts/story.cjs"), { cwd: FOLDER, env, stdio: "inherit" });
script.on("error", (error) => fail(error.message));
script.on("exit", ended.resolve);
process.exit((await ended.promise) ?? 1);
