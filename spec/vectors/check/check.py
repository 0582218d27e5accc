"""Reads every vector file with an implementation that was written from the text of
the spec alone, and says for each whether the two agree.

    python check.py              all files
    python check.py tree.json    these files

The examples in the text of chapter 3 are read as if they were one more file.

A line for each file begins with `passed` or `FAILED`; the exit code is 0 if all
passed. What is computed lives in the other modules, one for each subject."""

import json
import sys
import traceback

import epochs
import examples
import frames
import handshake
import have
import manifest
import names
import receipts
import records
import sas
import schema
import session
import signaling
import tree
import xwing
from registry import VECTORS, Wrong

CHECKS = {
    "codec.json": frames.check,
    "epochs.json": epochs.check,
    "have.json": have.check,
    "key-schedule.json": handshake.check,
    "manifest.json": manifest.check,
    "names.json": names.check,
    "receipt.json": receipts.check,
    "records.json": records.check,
    "sas.json": sas.check,
    "session.json": session.check,
    "signaling.json": signaling.check,
    "tree.json": tree.check,
    "words.json": sas.check_words,
    "xwing.json": xwing.check,
}
ML_KEM = "by mlkem.py alone" if xwing.SECOND is None else "by mlkem.py and by `cryptography`"
HOW = {"xwing.json": f"; ML-KEM-768 {ML_KEM}"}


CHAPTER = "03-wire.md"


def run(name):
    """Checks one file and returns how many of its cases held."""
    if name == CHAPTER:
        return count_cases(examples.check())
    if name not in CHECKS:
        raise Wrong("nothing here reads this file")
    path = VECTORS / name
    if not path.is_file():
        raise Wrong("the file is missing")
    text = path.read_bytes()
    if not text.isascii():
        raise Wrong("the file is not ASCII")
    vectors = json.loads(text)
    of_file = VECTORS / "schema" / name.replace(".json", ".schema.json")
    schema.check(vectors, json.loads(of_file.read_bytes()))
    return count_cases(CHECKS[name](vectors))


def count_cases(cases):
    """Runs a generator that names each case before it checks it."""
    count, case = 0, "before the first case"
    try:
        for case in cases:
            count += 1
    except Wrong as wrong:
        raise Wrong(f"{case}: {wrong}") from wrong
    except Exception as error:
        raise Wrong(f"{case}: {error!r}\n{traceback.format_exc()}") from error
    if count == 0:
        raise Wrong("the file holds no case")
    return count


def main(wanted):
    found = {path.name for path in VECTORS.glob("*.json")}
    failed = 0
    for name in wanted or sorted({CHAPTER, *found, *CHECKS}):
        try:
            print(f"passed {name}: {run(name)} cases{HOW.get(name, '')}", flush=True)
        except Exception as error:
            failed += 1
            print(f"FAILED {name}: {error}", flush=True)
    if xwing.SECOND is None:
        print("note: this `cryptography` has no ML-KEM-768; only the one of mlkem.py was compared")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
