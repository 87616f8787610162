"""The published Ratio1 package as a peer: one JSON request per line on stdin, one answer per line on stdout.

usage: ratio1_peer.py FOLDER PEM_FILE     (the package creates PEM_FILE if it does not exist)
"""

import json
import os
import sys

# The package prints to stdout; answers go to the original one.
answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

folder, pem_file = sys.argv[1:]
os.environ["EE_EVM_NET"] = "devnet"
os.environ["NAEURAL_PEM_FILE"] = pem_file
os.chdir(folder)

from ratio1 import Logger  # noqa: E402
from ratio1.bc import DefaultBlockEngine  # noqa: E402
from ratio1.bc.base import _LegacyComplexJsonEncoder  # noqa: E402
from cryptography.hazmat.primitives import serialization  # noqa: E402

logger = Logger("R1", base_folder=folder, app_folder="_local_cache", silent=True)
engine = DefaultBlockEngine(name="peer", log=logger, config={"PEM_FILE": pem_file}, verbosity=0)


def canonical(request):
    encoder = _LegacyComplexJsonEncoder if request["legacy"] else None
    return [
        engine._generate_data_for_hash(value, encoder_cls=encoder, include_sign_canon=True)
        for value in request["values"]
    ]


def verify(request):
    result = engine.verify(request["message"], persist_canon_stats=False)
    return {"valid": result.valid, "message": result.message, "sender": result.sender}


def sign(request):
    message = request["message"]
    engine.sign(message, add_data=True, use_digest=request["use_digest"])
    return message


def words(request):
    key = engine._create_new_sk_from_words(request["words"])
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {"address": engine._pk_to_address(key.public_key()), "pem": pem.decode()}


operations = {
    "who": lambda request: {"address": engine.address, "eth_address": engine.eth_address, "pem_file": pem_file},
    "canonical": canonical,
    "sign": sign,
    "verify": verify,
    "words": words,
    "encrypt": lambda request: engine.encrypt(request["text"], request["to"]),
    "decrypt": lambda request: engine.decrypt(request["sealed"], request["from"]),
    "token": lambda request: engine.create_r1_token(),
    "check_token": lambda request: engine.check_r1_token(request["token"]),
    "eth_sign": lambda request: engine.eth_sign_text(request["text"], no_hash=request["plain"]),
    "eth_verify": lambda request: engine.eth_verify_text_signature(
        request["text"], request["signature"], no_hash=request["plain"]
    ),
}

for line in sys.stdin:
    request = json.loads(line)
    answers.write(json.dumps(operations[request["op"]](request)) + "\n")
