#!/usr/bin/env bash
# Fills fuzz/corpus/ with what the tree holds: policies for `parse` and `format` (files, and the blocks of the manual
# and of the pages of errors), manifests for `inventory`, `networkpolicies` and `objects`.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p fuzz/corpus/{parse,format,inventory,networkpolicies,objects,kernel,replay}

# Writes each fenced block of language $1 in the Markdown files of the tree into the folder $2.
blocks() {
  find README.md docs examples -name '*.md' 2>/dev/null | while read -r page; do
    awk -v language="$1" -v prefix="$2/$(tr '/.' '--' <<<"$page")" '
      $0 == "```" language { open = 1; file = prefix "-" ++count; next }
      /^```/ { open = 0 }
      open { print > file }
    ' "$page"
  done
}

# Copies the files of the tree whose names end in one of the patterns $2… into the folder $1.
files() {
  local folder=$1
  shift
  git ls-files -- "$@" | while read -r file; do cp "$file" "$folder/$(tr '/' '-' <<<"$file")"; done
}

blocks netpol fuzz/corpus/parse
files fuzz/corpus/parse '*.netpol'
cp -n fuzz/corpus/parse/* fuzz/corpus/format/ 2>/dev/null || true
blocks yaml fuzz/corpus/inventory
files fuzz/corpus/inventory '*.yaml' '*.yml'
cp -n fuzz/corpus/inventory/* fuzz/corpus/networkpolicies/ 2>/dev/null || true
cp -n fuzz/corpus/inventory/* fuzz/corpus/objects/ 2>/dev/null || true
files fuzz/corpus/replay 'tests/*.jsonl' 'tests/*.json' 'examples/*.jsonl'
blocks json fuzz/corpus/replay
cp -n fuzz/corpus/replay/* fuzz/corpus/kernel/ 2>/dev/null || true
