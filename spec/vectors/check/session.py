"""The whole session of chapter 14, `session.json`: every key is derived, every
record opened and sealed again, every frame read and written again, and what the
session came to is computed from the files. The chapter is not read."""

import frames
import handshake
import manifest
import receipts
import tree
import xwing
from keyschedule import mac, schedule, sha256
from records import HEADER, ORDERED, TAG, Keys, Opener
from registry import CHANNELS, Wrong, equal

HANDSHAKE = ["HELLO_I", "HELLO_R", "CONFIRM"]


def cut(parts, data):
    """Consecutive parts that are all of these bytes, as pairs of name and bytes."""
    at = 0
    for part in parts:
        equal(f"offset of {part['name']}", part["offset"], at)
        at += len(part["bytes"]) // 2
    equal("all parts together", "".join(part["bytes"] for part in parts), data)
    return [(part["name"], part["bytes"]) for part in parts]


def named(parts, name):
    return bytes.fromhex(next(data for found, data in parts if found == name))


def check_handshake(vectors, messages):
    hello_i, hello_r, confirm = messages
    first = handshake.respond(hello_i, vectors["auth_mode"])
    second = handshake.read_hello_r(hello_r)
    for hello, parts in ((first, 0), (second, 1)):
        found = cut(vectors["messages"][parts]["fields"], messages[parts])
        for name in ("random", "key", "ciphertext", "tag"):
            if name in hello:
                field = "encapsulation key" if name == "key" else name
                equal(f"field {field}", named(found, field), hello[name])
    pair = xwing.KeyPair(bytes.fromhex(vectors["kem_seed"]))
    equal("encapsulation key", pair.public, first["key"])
    secret, ciphertext = xwing_encapsulate(first["key"], vectors["kem_randomness"])
    equal("ciphertext", ciphertext, second["ciphertext"])
    equal("kem_secret by the initiator", pair.decapsulate(ciphertext), secret)
    equal("kem_secret", secret, vectors["kem_secret"])
    digest = handshake.transcript(vectors, hello_i, hello_r)
    equal("transcript", digest, vectors["transcript"])
    keys = schedule(bytes.fromhex(vectors["psk"]), secret, digest)
    for name in ("epoch", "receipt", "resumption"):
        equal(name, keys[name], vectors[name])
    equal("tag of HELLO_R", second["tag"], mac(keys["confirm responder"], digest))
    found = cut(vectors["messages"][2]["fields"], confirm)
    equal("CONFIRM", confirm[:2] + mac(keys["confirm initiator"], digest), confirm)
    equal("tag of CONFIRM", named(found, "tag"), confirm[2:])
    return keys


def xwing_encapsulate(public, randomness):
    one, other = xwing.encapsulate(public, bytes.fromhex(randomness))
    return (one, other) if len(one) == 32 else (other, one)


def check_frames(message, plaintext):
    """The frames, each field's bytes among the parts, and the payload."""
    found, passed_over, payload = frames.read_plaintext(plaintext, message["channel"])
    equal("frames passed over", passed_over, [])
    equal("frames", found, message["frames"])
    equal("what", ", ".join(frame["type"] for frame in found), message["what"])
    wanted = []
    for frame in found:
        body = frames.write_body(frame)
        head = frames.write_frame(frame)[: -len(body)]
        wanted += [("type", head[:1].hex()), ("length", head[1:].hex())]
        for name, kind in frames.BODIES[frame["type"]]:
            if kind != "choice":
                wanted.append((name, frames.write_value(frame[name], kind).hex()))
                continue
            wanted.append((name, f"{frame[name]:02x}"))
            for inner, of in frames.CHOICES[frame["type"]][frame[name]]:
                wanted.append((inner, frames.write_value(frame[inner], of).hex()))
    if payload is not None:
        wanted.append(("payload", payload.hex()))
    equal("fields of the plaintext", cut(message["plaintext_fields"], plaintext), wanted)
    return found, payload


class Transfer:
    """What the frames of the one transfer come to."""

    def __init__(self, receipt_key):
        self.key, self.manifest, self.content = receipt_key, manifest.Manifest(), {}
        self.ends, self.leaves, self.acked, self.seen = {}, {}, set(), []

    def take(self, sender, frame, payload):
        name = frame["type"]
        self.seen.append((sender, name))
        match name:
            case "OFFER":
                self.offer = frame
            case "MANIFEST":
                self.manifest.page(frame["count"], bytes.fromhex(frame["entries"]))
            case "ACCEPT":
                self.wanted = [
                    place
                    for range_ in frame["ranges"]
                    for place in range(range_["first"], range_["first"] + range_["count"])
                ]
            case "DATA":
                content = self.content.setdefault(frame["file"], bytearray())
                equal("offset of DATA", int(frame["offset"]), len(content))
                content += payload
                if frame["leaf"] is not None:
                    self.leaves[frame["file"]] = frame["leaf"]
            case "FILE_END":
                self.ends[frame["file"]] = frame
            case "ACK":
                self.acked |= {range_["file"] for range_ in frame["ranges"]}
            case "COMPLETE":
                equal("statements of COMPLETE", frame["statements"], self.statements().hex())
            case "RECEIPT":
                files = [place for place in self.wanted if self.is_file(place)]
                args = (sender, len(files), self.statements())
                receipts.check_receipt(frame, self.key, *args)
                equal("delivered", (frame["delivered"], frame["failed"]), (len(files), 0))

    def is_file(self, place):
        return self.manifest.entries[place]["kind"] == 1

    def statements(self):
        files = [self.ends[place] for place in self.wanted if self.is_file(place)]
        cases = [
            {"place": end["file"], "verdict": "sent", "length": end["size"], "root": end["root"]}
            for end in files
        ]
        return sha256(b"passel v1 statements", *map(receipts.statement, cases))

    def check(self, files):
        entries = self.manifest.end().entries
        equal("entries", len(entries), self.offer["entries"])
        equal("digest", sha256(b"passel v1 manifest\0", self.manifest.bytes), self.offer["digest"])
        for place, (entry, file) in enumerate(zip(entries, files, strict=True)):
            equal("path", entry["path"], file["path"])
            equal("is a file", entry["kind"] == 1, file["content"] is not None)
            if file["content"] is None or place not in self.wanted:
                if place in self.ends or place in self.content:
                    raise Wrong(f"{entry['path']} was sent")
                continue
            content = bytes(self.content.get(place, b""))
            equal(f"content of {entry['path']}", content, file["content"])
            equal("size", (entry["size"], int(self.ends[place]["size"])), (len(content),) * 2)
            leaves = [tree.leaf(content)] if content else []
            equal("leaf", self.leaves.get(place), leaves[0].hex() if leaves else None)
            equal("root", tree.root(leaves), self.ends[place]["root"])
            equal("acknowledged", place in self.acked, bool(content))
        equal("the last two", self.seen[-2:], [("initiator", "RECEIPT"), ("responder", "CLOSE")])


def check(vectors):
    messages = [bytes.fromhex(message["bytes"]) for message in vectors["messages"]]
    yield "handshake"
    equal("first messages", [each["what"] for each in vectors["messages"][:3]], HANDSHAKE)
    secrets = check_handshake(vectors, messages[:3])
    ends = [(sender, channel) for sender in ("initiator", "responder") for channel in CHANNELS]
    keys = {end: Keys(secrets["epoch"], *end, 0, 0) for end in ends}
    told = {(case["sender"], case["channel"]): case for case in vectors["keys"]}
    equal("whose keys are told", sorted(told), sorted(keys))
    for end, case in told.items():
        yield f"keys of {end[0]}, {end[1]}"
        equal("key", keys[end].key, case["key"])
        equal("iv", keys[end].iv, case["iv"])
    openers = {end: Opener(keys[end], end[1] in ORDERED) for end in ends}
    transfer = Transfer(secrets["receipt"])
    for place, (case, record) in enumerate(zip(vectors["messages"], messages), 1):
        equal("number", case["number"], place)
        if place <= len(HANDSHAKE):
            continue
        yield f"{place}: {case['what']}"
        end = (case["sender"], case["channel"])
        plaintext = openers[end].open(record)
        equal("plaintext", plaintext, case["plaintext"])
        counter = record[4:12]
        again = keys[end].seal(int.from_bytes(counter, "little"), plaintext)
        equal("record sealed again", again, record)
        header = [("kind", 1), ("reserved", 1), ("epoch", 2), ("counter", 8)]
        sizes = [*header, ("ciphertext", len(record) - HEADER - TAG), ("tag", TAG)]
        found = [(name, len(data) // 2) for name, data in cut(case["fields"], record)]
        equal("fields of the record", found, sizes)
        found, payload = check_frames(case, plaintext)
        for frame in found:
            transfer.take(case["sender"], frame, payload)
    yield "what the session came to"
    transfer.check(vectors["files"])
