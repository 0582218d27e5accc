"""Entries and manifests of chapter 6, read and written, and `manifest.json`. Names
are in `names.py`."""

import names
from codec import Reader, Rules, sized, varint, zigzag
from keyschedule import sha256
from registry import LIMITS, Refused, equal, refusal

LAYOUT = "MF-ENTRY-LAYOUT"
RULES = Rules("MF-PAGE-EXACT", "MF-PAGE-EXACT", LAYOUT, LAYOUT, "MF-PAGE-EXACT")


def limited(reader, limit, rule):
    """A text's bytes; the limit comes before the bytes are looked for."""
    length = reader.varint("u64")
    if length > limit:
        raise Refused(rule, "LIMIT_EXCEEDED")
    return reader.take(length)


def read_mime(reader):
    mime = limited(reader, LIMITS["MAX_MIME"], "MF-MIME")
    if b"/" not in mime or not all(0x20 <= byte <= 0x7E for byte in mime):
        raise Refused("MF-MIME", "MALFORMED")
    return mime


def read_entry(reader):
    entry = {"path": reader.utf8(limited(reader, LIMITS["MAX_PATH"], "MF-PATH-LONG"))}
    entry["kind"] = reader.varint("u32")
    if entry["kind"] > 1:
        raise Refused("MF-ENTRY-KIND", "MALFORMED")
    if entry["kind"] == 1:
        entry["size"] = reader.varint("u64") if reader.flag() else None
        entry["executable"] = reader.flag()
        entry["mime"] = read_mime(reader) if reader.flag() else None
        entry["root"] = reader.take(32) if reader.flag() else None
    entry["modified"] = None
    if reader.flag():
        entry["modified"] = (reader.i64(), reader.varint("u32"))
        if entry["modified"][1] >= 1_000_000_000:
            raise Refused("MF-TIME-NANOS", "MALFORMED")
    names.parse(entry["path"])
    return entry


def optional(value, write):
    return b"\0" if value is None else b"\1" + write(value)


def write_entry(entry):
    out = sized(entry["path"]) + varint(entry["kind"])
    if entry["kind"] == 1:
        out += optional(entry["size"], varint) + bytes([entry["executable"]])
        out += optional(entry["mime"], sized) + optional(entry["root"], bytes)
    return out + optional(entry["modified"], lambda time: zigzag(time[0]) + varint(time[1]))


class Manifest:
    """What has arrived so far, with the checks between entries."""

    def __init__(self):
        self.entries, self.bytes, self.keys, self.directories = [], b"", set(), set()

    def page(self, count, data):
        if count == 0:
            raise Refused("MF-NOT-EMPTY", "MANIFEST_INVALID")
        reader = Reader(data, RULES)
        for _ in range(count):
            self.add(read_entry(reader))
        reader.end()
        self.bytes += data
        if len(self.bytes) > LIMITS["MAX_MANIFEST_BYTES"]:
            raise Refused("MF-LIMIT-BYTES", "LIMIT_EXCEEDED")

    def add(self, entry):
        path = entry["path"]
        if len(self.entries) == LIMITS["MAX_ENTRIES_COUNT"]:
            raise Refused("MF-LIMIT-ENTRIES", "LIMIT_EXCEEDED")
        if self.entries and names.order_key(path) <= names.order_key(self.entries[-1]["path"]):
            raise Refused("MF-ORDER", "MANIFEST_INVALID")
        parent, slash, _ = path.rpartition("/")
        if slash and parent not in self.directories:
            raise Refused("MF-PARENT", "MANIFEST_INVALID")
        key = names.collision_key(path)
        if key in self.keys:
            raise Refused("MF-FOLD", "MANIFEST_INVALID")
        self.keys.add(key)
        if entry["kind"] == 0:
            self.directories.add(path)
        self.entries.append(entry)

    def end(self):
        if not self.entries:
            raise Refused("MF-NOT-EMPTY", "MANIFEST_INVALID")
        return self


def read(pages):
    manifest = Manifest()
    for page in pages:
        manifest.page(page["count"], bytes.fromhex(page["bytes"]))
    return manifest.end()


def check(vectors):
    for case in vectors["cases"]:
        yield case["why"]
        if case["verdict"] == "refuse":
            refused = refusal(case["why"], lambda: read(case["pages"]))
            equal("rule", refused.rule, case["rule"])
            equal("code", refused.code, case["code"])
            continue
        manifest = read(case["pages"])
        files = [entry for entry in manifest.entries if entry["kind"] == 1]
        equal("files", len(files), case["files"])
        equal("directories", len(manifest.directories), case["directories"])
        equal("total_bytes", sum(entry["size"] or 0 for entry in files), case["total_bytes"])
        again = b"".join(map(write_entry, manifest.entries))
        equal("entries encoded again", again, manifest.bytes)
        equal("digest", sha256(b"passel v1 manifest\0", again), case["digest"])
        # MF-PAGE-JOIN: one entry a page makes the same manifest.
        pages = [{"count": 1, "bytes": write_entry(entry).hex()} for entry in manifest.entries]
        equal("entries in pages of one", read(pages).entries, manifest.entries)
