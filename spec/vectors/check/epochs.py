"""Section 5.5 of the spec: the traffic secrets of later epochs, records of two
epochs on one channel, and `epochs.json`."""

import records
import xwing
from codec import Reader
from frames import BODIES, read_value
from keyschedule import expand_label, extract, items
from registry import Refused, Wrong, equal, refusal


def read_body(name, data):
    reader = Reader(data)
    fields = {field: read_value(reader, kind) for field, kind in BODIES[name]}
    reader.end()
    return fields


class Opener(records.Opener):
    """Opens records of two epochs: order and window go over both."""

    def __init__(self, secrets, channel):
        self.epochs = [
            records.Keys(secret, "initiator", channel, 0, epoch)
            for epoch, secret in enumerate(secrets)
        ]
        super().__init__(self.epochs[-1], channel in records.ORDERED)
        self.lowest = 0

    def open(self, record):
        number = int.from_bytes(record[2:4], "little")
        self.keys = self.epochs[min(number, len(self.epochs) - 1)]
        if number < self.lowest:
            raise Refused("RL-UPDATE-ORDERED")
        plaintext = super().open(record)
        if self.ordered:
            self.lowest = number
        return plaintext


def check_update(case):
    key_update = bytes.fromhex(case["key_update"])
    answer = bytes.fromhex(case["key_update_answer"])
    asked = read_body("KEY_UPDATE", key_update)
    answered = read_body("KEY_UPDATE_ANSWER", answer)
    equal("epoch of KEY_UPDATE", asked["epoch"], case["epoch"])
    equal("epoch of KEY_UPDATE_ANSWER", answered["epoch"], case["epoch"])
    pair = xwing.KeyPair(bytes.fromhex(case["kem_seed"]))
    equal("encapsulation key", asked["encapsulation_key"], pair.public)
    kem_secret = pair.decapsulate(bytes.fromhex(answered["ciphertext"]))
    equal("kem_secret", kem_secret, case["kem_secret"])
    epoch = case["epoch"].to_bytes(2, "little")
    hashed = items(("epoch", epoch), ("key update", key_update), ("key update answer", answer))
    equal("hash", hashed, case["hash"])
    derived = expand_label(bytes.fromhex(case["before"]), "derived", b"", 32)
    equal("derived", derived, case["derived"])
    root = extract(derived, kem_secret)
    equal("root", root, case["root"])
    equal("secret", expand_label(root, "epoch", hashed, 32), case["secret"])


def check(vectors):
    secrets = {}
    for case in vectors["updates"]:
        yield case["why"]
        check_update(case)
        secrets[case["secret"]] = case["before"]
    for sequence in vectors["sequences"]:
        before, after = sequence["secrets"]
        if secrets.get(after) != before:
            raise Wrong(f"{sequence['why']}: its secrets are not of two epochs")
        opener = Opener([bytes.fromhex(before), bytes.fromhex(after)], sequence["channel"])
        for case in sequence["records"]:
            yield f"{sequence['why']}: {case['why']}"
            record = bytes.fromhex(case["record"])
            if case["verdict"] == "refuse":
                refused = refusal(case["why"], lambda: opener.open(record))
                equal("rule", refused.rule, case["rule"])
                continue
            records.damaged(opener, record)
            equal("plaintext", opener.open(record), case["plaintext"])
