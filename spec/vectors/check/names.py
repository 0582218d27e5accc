"""The names of chapter 6: which a manifest may hold, their order and collision
keys, and `names.json`. Python's tables of Unicode stand in for the spec's NFC."""

import unicodedata

from registry import LIMITS, Refused, equal, refusal


def spans(text):
    """The code points of the spec's notation, such as `200C, FE00-FE0F`."""
    points = set()
    for part in text.replace(" ", "").split(","):
        low, _, high = part.partition("-")
        points.update(range(int(low, 16), int(high or low, 16) + 1))
    return points


CONTROL = spans("0000-001F, 007F-009F")
BIDI = spans("061C, 200E, 200F, 202A-202E, 2066-2069")
JOINER = spans("180B-180D, 180F, 200C, 200D, FE00-FE0F, E0100-E01EF")
INVISIBLE = spans(
    "00AD, 034F, 115F, 1160, 17B4, 17B5, 180E, 200B, 2028, 2029, 2060-2065, 206A-206F, 3164, FEFF,"
    "FFA0, FFF0-FFFB, 1BCA0-1BCA3, 1D173-1D17A, FDD0-FDEF, E0000-E0FFF"
)
INVISIBLE |= {plane * 0x10000 + last for plane in range(17) for last in (0xFFFE, 0xFFFF)}
INVISIBLE -= JOINER
PORTS = [name + digit for name in ("COM", "LPT") for digit in "0123456789\u00b9\u00b2\u00b3"]
DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", *PORTS}


def ascii_upper(text):
    return "".join(char.upper() if char.isascii() else char for char in text)


def names_device(component):
    return ascii_upper(component.split(".")[0].rstrip(" ")) in DEVICES


def broken_rule(path):
    """The first rule of the spec's list that a path breaks."""
    points = {ord(char) for char in path}
    parts = path.split("/")
    rules = [
        ("EMPTY", path == ""),
        ("LONG", len(path.encode()) > LIMITS["MAX_PATH"]),
        ("ABSOLUTE", path.startswith("/")),
        ("BACKSLASH", "\\" in path),
        ("COLON", ":" in path),
        ("CONTROL", points & CONTROL),
        ("BIDI", points & BIDI),
        ("INVISIBLE", points & INVISIBLE),
        ("NFC", unicodedata.normalize("NFC", path) != path),
        ("DEPTH", len(parts) > LIMITS["MAX_PATH_DEPTH_COUNT"]),
        ("COMPONENT-EMPTY", "" in parts),
        ("DOTS", "." in parts or ".." in parts),
        ("COMPONENT-LONG", max(len(p.encode()) for p in parts) > LIMITS["MAX_PATH_COMPONENT"]),
        ("JOINER", any(part and ord(part[0]) in JOINER for part in parts)),
        ("TRAILING", any(part.endswith((".", " ")) for part in parts)),
        ("DEVICE", any(names_device(part) for part in parts)),
    ]
    return next((f"MF-PATH-{name}" for name, broken in rules if broken), None)


def parse(path):
    rule = broken_rule(path)
    if rule is not None:
        code = "LIMIT_EXCEEDED" if rule == "MF-PATH-LONG" else "UNSAFE_NAME"
        raise Refused(rule, code)
    return path


def order_key(path):
    return path.replace("/", "\0").encode()


def collision_key(path):
    out = ""
    for char in path:
        if ord(char) in JOINER:
            continue
        if char == "\u0131":
            out += char
            continue
        upper = "".join(each.upper() for each in char.lower())
        out += "".join(each.lower() for each in upper)
    return unicodedata.normalize("NFC", out)


def check(vectors):
    for case in vectors["names"]:
        yield f"{case['why']}: {case['name']!a:.60}"
        if case["verdict"] == "accept":
            parse(case["name"])
        else:
            refused = refusal(case["why"], lambda: parse(case["name"]))
            equal("rule", refused.rule, case["rule"])
    for case in vectors["pairs"]:
        yield f"{case['why']}: {case['first']!a:.40} and {case['second']!a:.40}"
        first, second = order_key(case["first"]), order_key(case["second"])
        order = "equal" if first == second else "less" if first < second else "greater"
        equal("order", order, case["order"])
        parts = [path.split("/") for path in (case["first"], case["second"])]
        by_parts = [[part.encode() for part in path] for path in parts]
        equal("order by components", by_parts[0] < by_parts[1], order == "less")
        collide = collision_key(case["first"]) == collision_key(case["second"])
        equal("collide", collide, case["collide"])
