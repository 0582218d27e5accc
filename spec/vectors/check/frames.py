"""Sections 3.2 and 3.3 of the spec: records' plaintexts and the frames in them,
as tables of fields, read and written; and `codec.json`, which holds examples of
both. What frames mean is no matter here."""

from codec import Reader, Rules, sized, varint
from registry import CHANNELS, FRAMES, LIMITS, Refused, Wrong, equal, refusal

LIST = {
    "entry ranges": [("first", "u32"), ("count", "u32")],
    "runs": [("first", "u64"), ("count", "u64")],
    "chunk ranges": [("file", "u32"), ("first", "u64"), ("count", "u64")],
    "tallies": [("transfer", "u32"), ("cost", "u64")],
    "failures": [("file", "u32"), ("code", "u16")],
}
TOLD = [("transfer", "u32"), ("code", "u16"), ("text", "string")]
ONE = [("transfer", "u32")]
TOKEN = [("token", "u64")]
BODIES = {
    "OFFER": [
        ("transfer", "u32"), ("entries", "u32"), ("bytes", "u64"), ("digest", "32"),
        ("chunk_log2", "u8"), ("piece_log2", "u8"), ("hash", "u8"),
        ("token", "16"), ("note", "string"),
    ],
    "MANIFEST": [("transfer", "u32"), ("first", "u32"), ("count", "u32"), ("entries", "bytes")],
    "ACCEPT": [("transfer", "u32"), ("more", "bool"), ("selection", "choice")],
    "REJECT": TOLD,
    "CANCEL": TOLD,
    "FILE_END": [("transfer", "u32"), ("file", "u32"), ("size", "u64"), ("root", "32")],
    "DATA": [("transfer", "u32"), ("file", "u32"), ("offset", "u64"), ("leaf", "optional 32")],
    "ACK": [("transfer", "u32"), ("ranges", "chunk ranges")],
    "NACK": [("transfer", "u32"), ("file", "u32"), ("chunk", "u64")],
    "CREDIT": [("transfer", "optional u32"), ("limit", "u64")],
    "COMPLETE": [("transfer", "u32"), ("statements", "32")],
    "RECEIPT": [
        ("transfer", "u32"), ("delivered", "u32"), ("failed", "u32"), ("listed", "failures"),
        ("statements", "32"), ("mac", "32"),
    ],
    "FILE_FAILED": [("transfer", "u32"), ("file", "u32"), ("code", "u16"), ("text", "string")],
    "PING": TOKEN,
    "PONG": TOKEN,
    "CLOSE": [("code", "u16"), ("text", "string")],
    "PAUSE": ONE,
    "RESUME": ONE,
    "HAVE": [
        ("transfer", "u32"), ("file", "u32"), ("ranges", "runs"), ("digest", "optional 32"),
    ],
    "STORED": [("transfer", "u32"), ("files", "entry ranges")],
    "LEAVES_WANTED": [
        ("transfer", "u32"), ("file", "u32"), ("first", "u64"), ("count", "u32"),
    ],
    "LEAVES": [("transfer", "u32"), ("file", "u32"), ("first", "u64"), ("leaves", "hashes")],
    "RESUMABLE": [("id", "16")],
    "LANE_SIGNAL": [("lane", "u16"), ("payload", "bytes")],
    "LANE_END": [("lane", "u16"), ("cost", "u64"), ("transfers", "tallies")],
    "KEY_UPDATE": [("epoch", "u16"), ("encapsulation_key", "1216")],
    "KEY_UPDATE_ANSWER": [("epoch", "u16"), ("ciphertext", "1120")],
    "MESSAGE": [("content", "choice")],
}
CHOICES = {
    "ACCEPT": [[], [("ranges", "entry ranges")]],
    "MESSAGE": [[("text", "string")], [("payload", "bytes")]],
}
HEAD_RULES = Rules("WF-FRAME", "WF-FRAME", "WF-CANONICAL", "WF-FRAME", "WF-FRAME-LENGTH")
NUMBERS = {entry["name"]: number for number, entry in FRAMES.items()}


def read_value(reader, kind):
    """One value. A u64 becomes a decimal text, and bytes hexadecimal ones, as in JSON."""
    if kind.startswith("optional "):
        return read_value(reader, kind.removeprefix("optional ")) if reader.flag() else None
    if kind in LIST:
        return [
            {name: read_value(reader, item) for name, item in LIST[kind]}
            for _ in range(reader.length())
        ]
    match kind:
        case "u8":
            return reader.u8()
        case "u64":
            return str(reader.varint(kind))
        case "u16" | "u32":
            return reader.varint(kind)
        case "bool":
            return reader.flag()
        case "16" | "32" | "1120" | "1216":
            return reader.take(int(kind)).hex()
        case "bytes":
            return reader.bytes().hex()
        case "hashes":
            return b"".join([reader.take(32) for _ in range(reader.length())]).hex()
        case "string":
            return reader.text()
    raise ValueError(kind)


def write_value(value, kind):
    if kind.startswith("optional "):
        if value is None:
            return b"\0"
        return b"\1" + write_value(value, kind.removeprefix("optional "))
    if kind in LIST:
        items = [write_value(item[name], of) for item in value for name, of in LIST[kind]]
        return varint(len(value)) + b"".join(items)
    match kind:
        case "u8" | "bool":
            return bytes([value])
        case "u16" | "u32" | "u64":
            return varint(int(value))
        case "16" | "32" | "1120" | "1216":
            return bytes.fromhex(value)
        case "hashes":
            return varint(len(value) // 64) + bytes.fromhex(value)
        case "bytes":
            return sized(bytes.fromhex(value))
        case "string":
            return sized(value)
    raise ValueError(kind)


def read_body(name, data):
    reader = Reader(data)
    fields = {"type": name}
    for field, kind in BODIES[name]:
        if kind == "choice":
            fields[field] = reader.varint("u32")
            if fields[field] > 1:
                raise Refused("WF-LAYOUT", "MALFORMED")
            for inner, of in CHOICES[name][fields[field]]:
                fields[inner] = read_value(reader, of)
        else:
            fields[field] = read_value(reader, kind)
    reader.end()
    if not is_allowed(name, fields):
        raise Refused("WF-LAYOUT", "MALFORMED")
    return fields


def write_frame(fields):
    body = write_body(fields)
    return varint(NUMBERS[fields["type"]]) + varint(len(body)) + body


def write_body(fields):
    body = b""
    for field, kind in BODIES[fields["type"]]:
        if kind == "choice":
            body += varint(fields[field])
            for inner, of in CHOICES[fields["type"]][fields[field]]:
                body += write_value(fields[inner], of)
        else:
            body += write_value(fields[field], kind)
    return body


def is_allowed(name, fields):
    """The last column of the frame's table."""
    text = len(fields.get("text", "").encode()) <= LIMITS["MAX_REASON_TEXT"]
    match name:
        case "OFFER":
            chunk, piece = fields["chunk_log2"], fields["piece_log2"]
            return (
                1 <= fields["entries"] <= LIMITS["MAX_ENTRIES_COUNT"]
                and 14 <= chunk <= 20
                and 10 <= piece <= 15
                and chunk - 6 <= piece <= chunk
                and len(fields["note"].encode()) <= LIMITS["MAX_NOTE"]
            )
        case "MANIFEST":
            return 1 <= fields["count"] <= len(fields["entries"]) // 2
        case "ACCEPT":
            if fields["selection"] == 0:
                return not fields["more"]
            return len(fields["ranges"]) <= 2048 and ascend(fields["ranges"])
        case "MESSAGE":
            length = len(fields.get("text", "").encode()) + len(fields.get("payload", "")) // 2
            return length <= LIMITS["MAX_MESSAGE"]
        case "ACK":
            ranges = [(int(range["first"]), int(range["count"])) for range in fields["ranges"]]
            whole = all(count >= 1 and first + count < 2**64 for first, count in ranges)
            return 1 <= len(ranges) <= 1024 and whole
        case "HAVE":
            return 1 <= len(fields["ranges"]) <= LIMITS["MAX_HAVE_RANGES_COUNT"] and ascend(
                fields["ranges"], 2**64
            )
        case "STORED":
            return 1 <= len(fields["files"]) <= 2048 and ascend(fields["files"])
        case "LEAVES_WANTED":
            whole = int(fields["first"]) + fields["count"] < 2**64
            return 1 <= fields["count"] <= LIMITS["MAX_LEAVES_COUNT"] and whole
        case "LEAVES":
            return 1 <= len(fields["leaves"]) // 64 <= LIMITS["MAX_LEAVES_COUNT"]
        case "LANE_SIGNAL":
            return fields["lane"] > 0 and len(fields["payload"]) // 2 <= LIMITS["MAX_LANE_SIGNAL"]
        case "LANE_END":
            parts = fields["transfers"]
            places = [part["transfer"] for part in parts]
            strictly = all(one < other for one, other in zip(places, places[1:]))
            few = len(places) <= LIMITS["MAX_TRANSFERS_COUNT"]
            whole = sum(int(part["cost"]) for part in parts) <= int(fields["cost"])
            return fields["lane"] > 0 and strictly and few and whole
        case "RECEIPT":
            places = [failure["file"] for failure in fields["listed"]]
            strictly = all(one < other for one, other in zip(places, places[1:]))
            return strictly and len(places) <= min(1024, fields["failed"])
    return text


def ascend(ranges, bound=2**32):
    end = -1
    for range in ranges:
        first, count = int(range["first"]), int(range["count"])
        if count < 1 or first <= end:
            return False
        end = first + count
        if end >= bound:
            return False
    return True


def read_plaintext(plaintext, channel):
    """The frames of a record, the types passed over, and the payload behind DATA."""
    frames, passed_over = [], []
    reader = Reader(plaintext, HEAD_RULES)
    while reader.left():
        number = reader.varint("u16")
        length = reader.varint("u32")
        if length > LIMITS["MAX_FRAME_BODY"] or length > reader.left():
            raise Refused("WF-FRAME-LENGTH", "MALFORMED")
        body = reader.take(length)
        known = FRAMES.get(number)
        if known is None:
            if number % 2 == 0:
                raise Refused("WF-FRAME-UNKNOWN", "UNKNOWN_CRITICAL_FRAME")
            passed_over.append(number)
            continue
        if channel not in [known["channel"], *known.get("also", [])]:
            raise Refused("WF-FRAME-CHANNEL", "PROTOCOL_VIOLATION")
        frames.append(read_body(known["name"], body))
        if known["name"] == "DATA":
            return frames, passed_over, reader.take(reader.left())
    if not frames and not passed_over:
        raise Refused("WF-FRAME", "MALFORMED")
    return frames, passed_over, None


def told(value):
    """A frame as the vectors tell it: long lists by their ends."""
    if isinstance(value, dict):
        return {name: told(field) for name, field in value.items()}
    if isinstance(value, list) and len(value) > 100:
        return {"items": len(value), "first": value[0], "last": value[-1]}
    return value


def check(vectors):
    for number, entry in FRAMES.items():
        if entry["name"] not in BODIES:
            raise Wrong(f"frame {number:#x} {entry['name']} is in the registry and not here")
    seen = set()
    for case in vectors["cases"]:
        yield case["why"]
        plaintext, channel = bytes.fromhex(case["plaintext"]), case["channel"]
        if channel not in CHANNELS:
            raise Wrong(f"no channel {channel}")
        if case["verdict"] == "refuse":
            refused = refusal(case["why"], lambda: read_plaintext(plaintext, channel))
            equal("rule", refused.rule, case["rule"])
            equal("code", refused.code, case["code"])
            continue
        frames, passed_over, payload = read_plaintext(plaintext, channel)
        equal("frames", [told(frame) for frame in frames], case["frames"])
        equal("types passed over", passed_over, case.get("passed_over", []))
        equal("payload", None if payload is None else payload.hex(), case.get("payload"))
        seen.update(frame["type"] for frame in frames)
        if not passed_over:
            again = b"".join(write_frame(frame) for frame in frames) + (payload or b"")
            equal("encoding", again, plaintext)
        cut_off(plaintext, channel, frames, payload)
    equal("frames with an example", sorted(seen), sorted(BODIES))


def cut_off(plaintext, channel, frames, payload):
    """No beginning of one frame, whatever its length, is taken for a frame."""
    if len(frames) != 1 or len(plaintext) > 2000:
        return
    for length in range(len(plaintext) - len(payload or b"")):
        if length and read_whole(plaintext[:length], channel):
            raise Wrong(f"the first {length} bytes are taken for a frame")


def read_whole(plaintext, channel):
    try:
        return read_plaintext(plaintext, channel)[0]
    except Refused:
        return None
