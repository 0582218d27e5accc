"""Section 3.1 of the spec: how values become bytes, in both directions. The
rules that a caller's chapter has of its own for the same faults are named when a
[`Reader`] is made. Frames, entries and messages have modules of their own."""

from registry import Refused

WIDTHS = {0xFB: 2, 0xFC: 4, 0xFD: 8}
MAX = {"u8": 2**8 - 1, "u16": 2**16 - 1, "u32": 2**32 - 1, "u64": 2**64 - 1}


class Rules:
    """Which rule each fault of the bytes breaks, and the code that answers it."""

    def __init__(self, early, trailing, canonical, utf8, bounded, code="MALFORMED"):
        self.early, self.trailing, self.canonical = early, trailing, canonical
        self.utf8, self.bounded, self.code = utf8, bounded, code


FRAME_RULES = Rules("WF-TRAILING", "WF-TRAILING", "WF-CANONICAL", "WF-UTF8", "WF-BOUNDED")


class Reader:
    """Reads values from the front of some bytes."""

    def __init__(self, data, rules=FRAME_RULES):
        self.data, self.at, self.rules = data, 0, rules

    def left(self):
        return len(self.data) - self.at

    def refuse(self, rule):
        raise Refused(rule, self.rules.code)

    def take(self, count):
        if count > self.left():
            self.refuse(self.rules.early)
        self.at += count
        return self.data[self.at - count : self.at]

    def u8(self):
        return self.take(1)[0]

    def varint(self, kind):
        first = self.u8()
        if first < 251:
            return first
        width = WIDTHS.get(first)
        if width is None or 2 ** (8 * width) - 1 > MAX[kind]:
            self.refuse(self.rules.canonical)
        value = int.from_bytes(self.take(width), "little")
        if varint(value)[0] != first:
            self.refuse(self.rules.canonical)
        return value

    def i64(self):
        value = self.varint("u64")
        return -(value + 1) // 2 if value % 2 else value // 2

    def flag(self):
        value = self.u8()
        if value > 1:
            self.refuse(self.rules.canonical)
        return value == 1

    def length(self):
        """A length or a number of items, each of which takes a byte or more."""
        value = self.varint("u64")
        if value > self.left():
            self.refuse(self.rules.bounded)
        return value

    def bytes(self):
        return self.take(self.length())

    def text(self):
        return self.utf8(self.bytes())

    def utf8(self, data):
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            self.refuse(self.rules.utf8)

    def end(self):
        if self.left():
            self.refuse(self.rules.trailing)


def varint(value):
    """The one encoding of a number."""
    if value < 251:
        return bytes([value])
    for first, width in WIDTHS.items():
        if value < 2 ** (8 * width):
            return bytes([first]) + value.to_bytes(width, "little")
    raise ValueError(f"{value} is no u64")


def zigzag(value):
    return varint(2 * value if value >= 0 else -2 * value - 1)


def sized(data):
    """Bytes or a text behind their length."""
    data = data.encode() if isinstance(data, str) else data
    return varint(len(data)) + data
