"""Chapter 5 of the spec: keys of channels, sealing and opening, the order and the
window, and `records.json`."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from keyschedule import expand_label
from registry import CHANNELS, LIMITS, REGISTRY, Refused, equal, refusal

ROLES = {"initiator": 0, "responder": 1}
ORDERED = {entry["name"] for entry in REGISTRY["channel"] if entry["ordered"]}
HEADER, TAG = LIMITS["RECORD_HEADER"], LIMITS["RECORD_TAG"]
CIPHERS = {1: ChaCha20Poly1305, 2: AESGCM}
WINDOW = LIMITS["REPLAY_WINDOW_RECORDS"]


def nonce_of(iv, counter):
    """The IV with its bytes 4 to 11 XORed with the counter's eight."""
    return iv[:4] + bytes(one ^ other for one, other in zip(iv[4:], counter))


class Keys:
    def __init__(self, secret, sender, channel, lane, epoch, suite=1):
        self.epoch = epoch
        self.context = bytes([ROLES[sender], CHANNELS[channel]])
        self.context += lane.to_bytes(2, "little") + epoch.to_bytes(2, "little")
        self.key = expand_label(secret, "key", self.context, 32)
        self.iv = expand_label(secret, "iv", self.context, 12)
        self.cipher = CIPHERS[suite](self.key)

    def seal(self, counter, plaintext):
        header = b"\1\0" + self.epoch.to_bytes(2, "little") + counter.to_bytes(8, "little")
        return header + self.cipher.encrypt(nonce_of(self.iv, header[4:]), plaintext, header)


class Opener:
    """Opens the records of one channel as they come."""

    def __init__(self, keys, ordered):
        self.keys, self.ordered = keys, ordered
        self.next, self.highest, self.seen = 0, -1, set()

    def open(self, record):
        if len(record) <= HEADER + TAG:
            raise Refused("RL-NOT-EMPTY")
        if len(record) > LIMITS["MAX_RECORD"] or record[0] != 1 or record[1] != 0:
            raise Refused("RL-HEADER")
        counter = int.from_bytes(record[4:12], "little")
        if counter >= 2**48:
            raise Refused("RL-COUNTER-LIMIT")
        if int.from_bytes(record[2:4], "little") != self.keys.epoch:
            raise Refused("RL-EPOCH")
        if self.ordered and counter != self.next:
            raise Refused("RL-ORDERED")
        if not self.ordered and (counter in self.seen or counter <= self.highest - WINDOW):
            raise Refused("RL-WINDOW")
        header, sealed = record[:HEADER], record[HEADER:]
        try:
            plaintext = self.keys.cipher.decrypt(nonce_of(self.keys.iv, header[4:]), sealed, header)
        except InvalidTag:
            raise Refused("RL-AUTHENTIC") from None
        self.next = counter + 1
        self.seen.add(counter)
        self.highest = max(self.highest, counter)
        return plaintext


def check(vectors):
    secret = bytes.fromhex(vectors["epoch_secret"])
    for case in vectors["keys"]:
        yield f"keys of {case['sender']}, {case['channel']}"
        keys = Keys(secret, case["sender"], case["channel"], case["lane"], case["epoch"])
        equal("context", keys.context, case["context"])
        equal("key", keys.key, case["key"])
        equal("iv", keys.iv, case["iv"])
    for sequence in vectors["sequences"]:
        channel = sequence["channel"]
        suite, epoch = sequence["suite"], sequence["epoch"]
        keys = Keys(secret, sequence["sender"], channel, sequence["lane"], epoch, suite)
        opener = Opener(keys, channel in ORDERED)
        for case in sequence["records"]:
            yield f"{sequence['why']}: {case['why']}"
            record = bytes.fromhex(case["record"])
            if case["verdict"] == "refuse":
                refused = refusal(case["why"], lambda: opener.open(record))
                equal("rule", refused.rule, case["rule"])
                continue
            damaged(opener, record)
            plaintext = opener.open(record)
            equal("plaintext", plaintext, case["plaintext"])
            counter = int.from_bytes(record[4:12], "little")
            equal("record sealed again", keys.seal(counter, plaintext), record)


def damaged(opener, record):
    """No record with a bit flipped, and no beginning of one, opens; and the record
    itself opens behind them all (RL-STATE-AFTER-TAG)."""
    for place in range(len(record)):
        flipped = record[:place] + bytes([record[place] ^ 1]) + record[place + 1 :]
        refusal(f"bit 0 of byte {place} flipped", lambda: opener.open(flipped))
        refusal(f"cut to {place} bytes", lambda: opener.open(record[:place]))
