"""Section 4.8 of the spec: the commitment and what two people compare, and the
files `sas.json` and `words.json`. Where they stand in the handshake is no matter
here."""

import hashlib
import json

from keyschedule import expand_label, items
from registry import VECTORS, Refused, Wrong, equal

LIST_HASH = "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"


def commitment(nonce):
    return items(("sas nonce", nonce))


def check_nonce(commit, nonce):
    """What a responder checks of CONFIRM, behind the tag."""
    if commitment(nonce) != commit:
        raise Refused("HS-SAS-REVEAL", "AUTHENTICATION_FAILED")


def value(secret, nonce):
    return expand_label(secret, "sas value", nonce, 10)


def shown(string, words):
    """Three words and four digits."""
    numbers = [int.from_bytes(string[place : place + 2], "big") for place in (0, 2, 4)]
    digits = int.from_bytes(string[6:], "big") % 10_000
    return [words[number % 2048] for number in numbers], f"{digits:04}"


def load():
    return json.loads((VECTORS / "words.json").read_bytes())["words"]


def check_words(vectors):
    yield "the list"
    words = vectors["words"]
    equal("number of words", len(words), 2048)
    equal("words in order, none twice", sorted(set(words)), words)
    text = "".join(f"{word}\n" for word in words).encode("ascii")
    equal("hash of the list", hashlib.sha256(text).digest(), LIST_HASH)


def check(vectors):
    words = load()
    for case in vectors["cases"]:
        yield case["why"]
        nonce = bytes.fromhex(case["nonce"])
        commit = commitment(nonce)
        equal("commitment", commit, case["commitment"])
        string = value(bytes.fromhex(case["sas"]), nonce)
        equal("value", string, case["value"])
        equal("what is shown", list(shown(string, words)), [case["words"], case["digits"]])
        check_nonce(commit, nonce)
        for place in range(32):
            other = nonce[:place] + bytes([nonce[place] ^ 1]) + nonce[place + 1 :]
            try:
                check_nonce(commit, other)
            except Refused:
                continue
            raise Wrong(f"byte {place} of the nonce is not committed to")
