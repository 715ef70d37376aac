// Compares what Slither found with the answers in ANALYSIS.md: every finding has one, and every answer a finding.
//
//     node analysis-answers.mjs FINDINGS.json
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = dirname(fileURLToPath(import.meta.url));
/** Of which each place is answered by name; others may be answered for the whole suite, by `*`. */
const SERIOUS = ["High", "Medium"];

/** `Contract.function` of the first thing a finding is about. */
function placeOf(finding) {
  const element = finding.elements.find((e) => e.type === "function" || e.type === "variable") ?? finding.elements[0];
  if (!element) return "suite";
  let parent = element.type_specific_fields?.parent;
  const names = [element.name];
  while (parent) {
    if (parent.type === "contract" || parent.type === "function") names.unshift(parent.name);
    parent = parent.type_specific_fields?.parent;
  }
  return names.join(".");
}

/** Rows `| check | places | answer |` of the document. */
function answersOf(text) {
  return text
    .split("\n")
    .map((line) => /^\| `([a-z0-9-]+)` \| (.+?) \| (.+) \|$/.exec(line))
    .filter(Boolean)
    .map(([, check, places]) => ({ check, places: places.split(", ").map((place) => place.replaceAll("`", "")) }));
}

const report = JSON.parse(readFileSync(process.argv[2], "utf8"));
if (!report.success) {
  console.error(`contracts: the analysis failed: ${report.error}`);
  process.exit(1);
}
const findings = (report.results.detectors ?? []).map((finding) => ({
  check: finding.check,
  impact: finding.impact,
  place: placeOf(finding),
  text: finding.description.trim().split("\n")[0],
}));
const answers = answersOf(readFileSync(join(ROOT, "ANALYSIS.md"), "utf8"));
const covers = (answer, finding) =>
  answer.check === finding.check &&
  (answer.places.includes(finding.place) || (answer.places.includes("*") && !SERIOUS.includes(finding.impact)));
const open = findings.filter((finding) => !answers.some((answer) => covers(answer, finding)));
for (const { check, impact, place, text } of open) console.error(`${impact} ${check} ${place}\n    ${text}`);
const idle = answers.flatMap((answer) =>
  answer.places
    .filter((place) => !findings.some((f) => f.check === answer.check && (place === "*" || f.place === place)))
    .map((place) => `${answer.check} ${place}`),
);
for (const answer of idle) console.error(`answered, but not found: ${answer}`);
console.log(`${findings.length} findings, ${open.length} without answer, ${idle.length} answers without finding`);
process.exit(open.length + idle.length === 0 ? 0 : 1);
