"""Section 4.6 of the spec: items, HKDF and Expand-Label, which chapters 5 and 8
use too. The handshake that feeds them is in `handshake.py`."""

import hashlib
import hmac

from registry import LABEL_PREFIX, PROTOCOL


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def items(*pairs):
    """The hash over items; the first of them is always `protocol`."""
    out = b""
    for label, data in (("protocol", PROTOCOL), *pairs):
        out += bytes([len(label)]) + label.encode("ascii")
        out += len(data).to_bytes(4, "little") + data
    return sha256(out)


def extract(salt, data):
    return mac(salt, data)


def expand(secret, info, length):
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = mac(secret, block + info + bytes([counter]))
        out += block
        counter += 1
    return out[:length]


def label_info(label, context, length):
    name = LABEL_PREFIX + label.encode("ascii")
    return length.to_bytes(2, "big") + bytes([len(name)]) + name + bytes([len(context)]) + context


def expand_label(secret, label, context, length):
    return expand(secret, label_info(label, context, length), length)


def schedule(psk, kem_secret, transcript):
    """Every secret of the schedule by its name."""
    early = extract(bytes(32), psk)
    derived = expand_label(early, "derived", b"", 32)
    root = extract(derived, kem_secret)
    names = [
        "confirm initiator", "confirm responder", "epoch", "receipt", "resumption", "exporter",
        "lane signaling", "sas",
    ]
    keys = {name: expand_label(root, name, transcript, 32) for name in names}
    return {"early": early, "derived": derived, "root": root, **keys}


def resumption(secret):
    """What is kept of a session whose secret `resumption` this is, section 4.7."""
    meeting = expand_label(secret, "meeting", b"", 32)
    return {
        "resumption id": expand_label(secret, "resumption id", b"", 16),
        "resumption psk": expand_label(secret, "resumption psk", b"", 32),
        "meeting": meeting,
        "meeting id": expand_label(meeting, "meeting id", b"", 16),
        "meeting link": expand_label(meeting, "meeting link", b"", 32),
    }
