#!/bin/sh
# Static analysis of the contracts by Slither; every finding is answered in ANALYSIS.md, or this fails.
#
# Slither comes from PyPI into a folder below target/; the compiler is the pinned solc-js of package.json.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
work="$root/target/analysis"
mkdir -p "$work"
if ! "$work/venv/bin/slither" --version 2>/dev/null | grep -qx 0.11.6; then
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet slither-analyzer==0.11.6
fi
rm -rf "$work/sources" "$work/findings.json"
mkdir "$work/sources"
node "$root/contracts/build-info.mjs" "$work/sources"
cd "$work/sources"
# Its exit status says that there are findings; whether they are answered is the next line's to say.
"$work/venv/bin/slither" . --ignore-compile --compile-force-framework hardhat --filter-paths node_modules \
    --json "$work/findings.json" >"$work/slither.log" 2>&1 || true
node "$root/contracts/analysis-answers.mjs" "$work/findings.json"
