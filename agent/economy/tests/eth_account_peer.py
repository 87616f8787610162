"""Packs, hashes and signs messages with eth_account, and recovers who signed ours. One JSON list in, one out."""

import json
import sys

from eth_account import Account
from eth_account.messages import encode_defunct
from eth_utils import keccak


def word(value):
    return int(value).to_bytes(32, "big")


def raw(text):
    return bytes.fromhex(text[2:])


# eth_abi packs the elements of arrays without padding, Solidity pads them to 32 bytes: packed by hand.
LAYOUTS = {
    "claim_v1": lambda f: raw(f["node"]) + b"".join(map(word, f["epochs"])) + b"".join(map(word, f["values"])),
    "claim_v2": lambda f: raw(f["node"]) + word(f["epochs"][0]) + word(f["epochs"][-1]) + bytes(f["values"]),
    "link": lambda f: raw(f["wallet"]) + raw(f["node"]),
    "link_multi": lambda f: raw(f["wallet"]) + b"".join(bytes(12) + raw(node) for node in f["nodes"]),
    "buy": lambda f: raw(f["wallet"]) + raw(f["invoice"]) + word(f["limit"]) + word(f["vat"]),
}


def answer(case):
    digest = keccak(LAYOUTS[case["layout"]](case["fields"]))
    message = encode_defunct(primitive=digest)
    account = Account.from_key(raw(case["secret"]))
    return {
        "digest": "0x" + digest.hex(),
        "address": account.address,
        "signature": "0x" + bytes(account.sign_message(message).signature).hex(),
        "recovered": Account.recover_message(message, signature=raw(case["signature"])),
    }


json.dump([answer(case) for case in json.load(sys.stdin)], sys.stdout)
