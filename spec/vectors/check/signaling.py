"""Chapter 8 of the spec: SPAKE2 over a code, the keys of a session and sealed
blobs, and `signaling.json`. The course of a session is no matter here."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

import edwards as ed
from keyschedule import expand, expand_label, extract, items, sha256
from records import nonce_of
from registry import LIMITS, Refused, Wrong, equal, refusal

M = ed.decompress(bytes.fromhex("15cfd18e385952982b6a8f8c7854963b58e34388c8e6dae891db756481a02312"))
N = ed.decompress(bytes.fromhex("f04f2e7eb734b2a8f8b472eaf9c3c632576ac64aea650b496a8a20ff00e583c3"))
BLOCK, SEALED = 256, 2
SAS, RESUME = 3, 5


def password_scalar(code):
    wide = expand(extract(b"", code.encode("ascii")), b"SPAKE2 pw", 48)
    return int.from_bytes(wide, "big") % ed.ORDER


def check_share(share):
    point = ed.decompress(share)
    if point is None or point == ed.IDENTITY or ed.multiply(ed.ORDER, point) != ed.IDENTITY:
        raise Refused("SG-SHARE-CHECK", "MALFORMED")
    return point


def check_spake2(case, routing_id):
    w = password_scalar(case["code"])
    equal("password scalar", w.to_bytes(32, "little"), case["password_scalar"])
    x, y = (
        int.from_bytes(bytes.fromhex(case[name]), "little")
        for name in ("joiner_scalar", "creator_scalar")
    )
    share_a = ed.add(ed.multiply(x, ed.BASE), ed.multiply(w, M))
    share_b = ed.add(ed.multiply(y, ed.BASE), ed.multiply(w, N))
    joiner, creator = ed.compress(share_a), ed.compress(share_b)
    equal("joiner's share", joiner, case["joiner_share"])
    equal("creator's share", creator, case["creator_share"])
    of_a = ed.add(check_share(creator), ed.negate(ed.multiply(w, N)))
    of_b = ed.add(check_share(joiner), ed.negate(ed.multiply(w, M)))
    element = ed.multiply(x, of_a)
    equal("K on both sides", ed.compress(ed.multiply(y, of_b)), ed.compress(element))
    equal("K", ed.compress(element), case["group_element"])
    identities = [b"passel v1 joiner " + routing_id, b"passel v1 creator " + routing_id]
    hashes = [sha256(part) for part in (case["code"].encode(), *identities)]
    secret = sha256(*hashes, joiner, creator, ed.compress(element))
    equal("secret", secret, case["secret"])
    context = items(("routing id", routing_id), ("share joiner", joiner), ("share creator", creator))
    equal("context", context, case["context"])


class Direction:
    def __init__(self, root, context):
        self.key = expand_label(root, "signal key", context, 32)
        self.iv = expand_label(root, "signal iv", context, 12)

    def seal(self, mode, salt, counter, payload):
        plaintext = len(payload).to_bytes(2, "little") + payload
        plaintext += bytes(-len(plaintext) % BLOCK)
        header = bytes([1, SEALED]) + mode.to_bytes(2, "little") + salt
        header += counter.to_bytes(8, "little")
        nonce = nonce_of(self.iv, header[20:])
        return header + ChaCha20Poly1305(self.key).encrypt(nonce, plaintext, header)

    def open(self, blob, mode, salt, counter):
        size = len(blob) - 28 - 16
        if len(blob) < 4 or len(blob) > LIMITS["MAX_SIGNAL_BLOB"]:
            raise Refused("SG-BLOB", "MALFORMED")
        if blob[0] != 1:
            raise Refused("SG-BLOB", "UNSUPPORTED_VERSION")
        if blob[1] != SEALED or size <= 0 or size % BLOCK:
            raise Refused("SG-BLOB", "MALFORMED")
        if int.from_bytes(blob[2:4], "little") != mode:
            raise Refused("SG-STATES", "PROTOCOL_VIOLATION")
        if blob[4:20] != salt:
            raise Refused("SG-SALT", "AUTHENTICATION_FAILED")
        if int.from_bytes(blob[20:28], "little") != counter:
            raise Refused("SG-ORDER", "AUTHENTICATION_FAILED")
        try:
            nonce = nonce_of(self.iv, blob[20:28])
            plaintext = ChaCha20Poly1305(self.key).decrypt(nonce, blob[28:], blob[:28])
        except InvalidTag:
            raise Refused("SG-AUTHENTIC", "AUTHENTICATION_FAILED") from None
        length = int.from_bytes(plaintext[:2], "little")
        padding = len(plaintext) - 2 - length
        if not 0 <= padding < BLOCK or any(plaintext[2 + length :]):
            raise Refused("SG-PADDING", "AUTHENTICATION_FAILED")
        return plaintext[2 : 2 + length]


def check_exchange(case, routing_id):
    mode, secret, context = case["mode"], bytes.fromhex(case["secret"]), bytes.fromhex(case["context"])
    hash = items(
        ("signal mode", mode.to_bytes(2, "little")),
        ("routing id", routing_id),
        ("pake context", context),
    )
    base = extract(bytes(32), secret)
    root = expand_label(base, "signal", hash, 32)
    equal("root", root, case["signal_root"])
    if "psk" in case:
        equal("psk", expand_label(base, "handshake psk", hash, 32), case["psk"])
    elif mode not in (SAS, RESUME):
        raise Wrong("a mode whose handshake needs a psk has none")
    joiner, creator = (bytes.fromhex(case[f"{who}_salt"]) for who in ("joiner", "creator"))
    directions = {
        "joiner": (Direction(root, b"\0" + joiner + bytes(16)), joiner),
        "creator": (Direction(root, b"\1" + joiner + creator), creator),
    }
    for who, (direction, salt) in directions.items():
        equal(f"{who}'s key", direction.key, case[f"{who}_key"])
        equal(f"{who}'s iv", direction.iv, case[f"{who}_iv"])
        blob, payload = (bytes.fromhex(case[f"{who}_{what}"]) for what in ("blob", "payload"))
        equal(f"{who}'s payload", direction.open(blob, mode, salt, 0), payload)
        equal(f"{who}'s blob", direction.seal(mode, salt, 0, payload), blob)
        for place in range(len(blob)):
            other = blob[:place] + bytes([blob[place] ^ 1]) + blob[place + 1 :]
            refusal(f"byte {place} changed", lambda: direction.open(other, mode, salt, 0))
            refusal(f"cut to {place}", lambda: direction.open(blob[:place], mode, salt, 0))


def check(vectors):
    routing_id = bytes.fromhex(vectors["routing_id"])
    yield "SPAKE2"
    check_spake2(vectors["spake2"], routing_id)
    for case in vectors["exchanges"]:
        yield case["why"]
        check_exchange(case, routing_id)
    for case in vectors["refused_shares"]:
        yield case["why"]
        share = bytes.fromhex(case["share"])
        equal("rule", refusal(case["why"], lambda: check_share(share)).rule, case["rule"])
