// Every block of a chain with markers, as ethers, viem and cast read it: nothing in it is a transaction that they
// do not know, and all three see the same.
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { promisify } from "node:util";
import { JsonRpcProvider, Transaction } from "ethers";
import { createPublicClient, defineChain, http } from "viem";
import { CHAIN_ID, HTTP_URL, rpc, run } from "./checks.mjs";

const MARKER = "0x000000000000000000000000000000000000007a";
/** How many markers the network has at least. */
const MARKERS_MIN = Number(process.argv[3]);

const chain = defineChain({
  id: CHAIN_ID,
  name: "Medina",
  nativeCurrency: { name: "Coin", symbol: "COIN", decimals: 18 },
  rpcUrls: { default: { http: [HTTP_URL] } },
});
const viem = createPublicClient({ chain, transport: http(HTTP_URL), cacheTime: 0 });
const ethers = new JsonRpcProvider(HTTP_URL, CHAIN_ID, { staticNetwork: true });

/** The pinned cast, where there is one for this machine. */
function cast() {
  try {
    const binary = createRequire(import.meta.url).resolve("@foundry-rs/cast-linux-amd64/bin/cast");
    const env = { PATH: process.env.PATH, HOME: "/nonexistent", ETH_RPC_URL: HTTP_URL, NO_COLOR: "1" };
    return (...words) => promisify(execFile)(binary, words, { env, maxBuffer: 1 << 24 });
  } catch {
    return undefined;
  }
}

const hashes = (transactions) => transactions.map(({ hash }) => hash);

async function decode(checks, number, runCast) {
  const quantity = `0x${number.toString(16)}`;
  const plain = await rpc("eth_getBlockByNumber", quantity, true);
  const byEthers = await ethers.getBlock(number, true);
  const byViem = await viem.getBlock({ blockNumber: BigInt(number), includeTransactions: true });
  const wanted = hashes(plain.transactions);
  const seen = [byEthers.prefetchedTransactions, byViem.transactions].map(hashes);
  if (runCast) {
    const { stdout } = await runCast("block", String(number), "--full", "--json");
    seen.push(hashes(JSON.parse(stdout).transactions));
  }
  const same = seen.every((list) => list.join() === wanted.join());
  checks.holds(`block ${number} is the same to all`, same && byEthers.hash === byViem.hash, seen);
  for (const transaction of plain.transactions) {
    // Hash and sender are computed anew from what is signed.
    const raw = await rpc("debug_getRawTransaction", transaction.hash);
    const parsed = Transaction.from(raw);
    const isItself = parsed.hash === transaction.hash && parsed.from.toLowerCase() === transaction.from.toLowerCase();
    checks.holds(`${transaction.hash} is what it says`, isItself, parsed);
    const [one, other] = await Promise.all([
      ethers.getTransactionReceipt(transaction.hash),
      viem.getTransactionReceipt({ hash: transaction.hash }),
    ]);
    const status = { 0: "reverted", 1: "success" }[one.status];
    checks.equal("the receipt is the same", [status, one.gasUsed], [other.status, other.gasUsed]);
  }
  return plain.transactions;
}

await run("ethers, viem and cast on markers", async (checks) => {
  const height = Number(await rpc("eth_blockNumber"));
  const runCast = cast();
  const all = [];
  for (let number = 0; number <= height; number += 1) all.push(...(await decode(checks, number, runCast)));
  const markers = all.filter(({ to, input }) => to === MARKER && input.length === 2 + 128);
  checks.holds("markers are among them", markers.length >= MARKERS_MIN, markers.length);
  checks.equal("they are ordinary ones", [...new Set(markers.map(({ type }) => type))], ["0x2"]);
  const kinds = new Set(all.map(({ type }) => type));
  checks.holds("no type of their own", [...kinds].every((type) => ["0x0", "0x1", "0x2", "0x4"].includes(type)), [...kinds]);
});
