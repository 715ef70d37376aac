// The test suite in hardhat/test, run by Hardhat on `medina dev`.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

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
  MEDINA_URL: process.argv[2],
  MEDINA_HARDHAT_FOLDER: home,
  HARDHAT_DISABLE_TELEMETRY_PROMPT: "true",
  CI: "true",
  NO_COLOR: "1",
};
const suite = spawn("node", [PROGRAM, "--network", "remote", "test"], { cwd: FOLDER, env, stdio: "inherit" });
suite.on("exit", (code) => process.exit(code ?? 1));
