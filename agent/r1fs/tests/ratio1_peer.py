"""The R1FS engine of the published Ratio1 package as a peer: one JSON request per line on stdin, one answer per line.

usage: ratio1_peer.py FOLDER

The engine runs without a daemon: where it would call `ipfs`, sealed files are taken from and put into FOLDER.
"""

import json
import os
import pickle
import random
import shutil
import sys

# The package prints to stdout; answers go to the original one.
answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

folder = sys.argv[1]
os.environ["EE_EVM_NET"] = "devnet"
os.chdir(folder)

import yaml  # noqa: E402
from ratio1.ipfs.r1fs import DEFAULT_SECRET, R1FSEngine  # noqa: E402

SEALED = os.path.join(folder, "sealed")


class Engine(R1FSEngine):
    def __new__(cls):
        return object.__new__(cls)

    def P(self, text, *args, **kwargs):
        print(text, file=sys.stderr)

    Pd = P

    def get_upload_status(self, cid):
        return {}


def run_command(command, **kwargs):
    if command[1] == "add":
        shutil.copy(command[-1], SEALED)
        return "the file\nthe folder"
    assert command[1] == "get", command
    os.makedirs(command[-1])
    shutil.copy(SEALED, os.path.join(command[-1], "sealed"))
    return ""


engine = Engine()
hidden = {
    "DEFAULT_SECRET": DEFAULT_SECRET,
    "ipfs_started": True,
    "downloads_dir": os.path.join(folder, "downloads"),
    "uploaded_files": {},
    "downloaded_files": {},
    "relay_retry_queue": {},
    "run_command": run_command,
    "set_upload_status": lambda *args, **kwargs: None,
    "publish_cid_to_relay": lambda *args, **kwargs: None,
    "retry_queued_relay_publications": lambda *args, **kwargs: None,
    "pin_add": lambda *args, **kwargs: None,
}
for name, value in hidden.items():
    setattr(engine, "_R1FSEngine__" + name, value)


def options(request):
    return {"secret": request["secret"], "nonce": request["nonce"]}


def get(request):
    try:
        path = engine.get_file("a-cid", secret=request["secret"], pin=False, raise_on_error=True)
    except RuntimeError as error:
        return {"error": str(error)}
    return {"path": path}


operations = {
    "nonce": lambda request: [random.Random(seed).randbytes(12).hex() for seed in request["seeds"]],
    "add_file": lambda request: engine.add_file(request["path"], raise_on_error=True, **options(request)),
    "calculate_json": lambda request: engine.calculate_json_cid(
        json.loads(request["text"]), fn=request["fn"], **options(request)
    ),
    "calculate_pickle": lambda request: engine.calculate_pickle_cid(
        json.loads(request["text"]), fn=request["fn"], **options(request)
    ),
    "get": get,
    "pickle": lambda request: [pickle.dumps(json.loads(text), protocol=4).hex() for text in request["texts"]],
    "json": lambda request: [
        json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")) for text in request["texts"]
    ],
    "yaml": lambda request: [yaml.dump(json.loads(text)) for text in request["texts"]],
    "load_yaml": lambda request: [json.dumps(yaml.safe_load(text)) for text in request["texts"]],
}

for line in sys.stdin:
    request = json.loads(line)
    answers.write(json.dumps(operations[request["op"]](request)) + "\n")
