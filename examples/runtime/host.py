"""A host of an evaluator module, with wasmtime (pip install wasmtime): docs/wasm-abi.md is all that it knows."""

import json
import struct
import sys

from wasmtime import Instance, Module, Store

folder = sys.argv[1]
with open(f"{folder}/policy.rules.json") as file:
    told = json.load(file)
store = Store()
instance = Instance(store, Module.from_file(store.engine, f"{folder}/policy.wasm"), [])
exports = instance.exports(store)
memory = exports["memory"]


def call(name, *numbers):
    number = exports[name](store, *numbers)
    if number < 0:
        raise ValueError(f"error {number}")
    return number


def hand(name, value):
    """Hands a value over as JSON: to `intern`, `intern_request` or `decide_text`."""
    text = json.dumps(value).encode()
    at = call("buffer", len(text))
    memory.write(store, text, at)
    return call(name, at, len(text))


def why():
    """Says what decided the last flow at each end."""
    at = call("verdict")
    word, out, way_in = struct.unpack("<iii", memory.read(store, at, at + 12))

    def end(cause, by):
        if cause == 4:
            return f"granted: {told['grants'][by]['reason']}"
        if cause in (3, 5, 6):
            verb = {3: "allowed", 5: "denied", 6: "isolated"}[cause]
            return f"{verb} by {told['rules'][by]['path']}:{told['rules'][by]['line']}"
        return ["no pod", "a pod reaches itself", "not isolated"][cause]

    return f"egress {end(word >> 8 & 255, out)}, ingress {end(word >> 16 & 255, way_in)}"


if call("abi_version") != 1:
    raise SystemExit("this host knows version 1 of the interface")
WORDS = ["denied", "allowed", "told"]
garden = {"namespace": "garden", "labels": {"app": "web"}}

# One flow as text.
verdict = hand("decide_text", {"from": garden, "to": "zenquotes.io", "port": 443})
print(f"{WORDS[verdict]}: garden -> zenquotes.io:443, {why()}")

# The same parties by numbers, which are found once.
source, destination, tcp = hand("intern", garden), hand("intern", "evil.example"), 6 << 16
verdict = call("decide", source, destination, tcp | 443, 0)
print(f"{WORDS[verdict]}: garden -> evil.example:443, {why()}")

# What nobody interned is an error, and no verdict.
try:
    call("decide", source, 12345, tcp | 443, 0)
except ValueError as error:
    print(f"a number that is none: {error}")
