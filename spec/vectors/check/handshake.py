"""Chapter 4 of the spec: the messages of the handshake, its transcript, keys and
tags, and `key-schedule.json`. X-Wing is in `xwing.py`, the schedule in
`keyschedule.py`."""

import sas
import xwing
from codec import Reader, Rules, sized, varint
from keyschedule import expand_label, items, label_info, mac, resumption, schedule
from registry import EXTENSIONS, LIMITS, SUITES, VERSIONS, Refused, Wrong, equal, refusal

RULES = Rules("HS-ENCODING", "HS-ENCODING", "HS-ENCODING", "HS-ENCODING", "HS-ENCODING")
HELLO_I, HELLO_R, CONFIRM, ALERT = 1, 2, 3, 4
TAG = 32
SAS, RESUME = 3, 5


def open_message(message, wanted):
    """A reader behind the head of a message that is of the type which is due."""
    if len(message) > LIMITS["MAX_HELLO"]:
        raise Refused("HS-MESSAGE-LIMIT", "LIMIT_EXCEEDED")
    if len(message) < 2 or message[0] != 0:
        raise Refused("HS-MESSAGES", "PROTOCOL_VIOLATION")
    reader = Reader(message, RULES)
    reader.u8()
    kind = reader.u8()
    if kind not in (HELLO_I, HELLO_R, CONFIRM, ALERT):
        raise Refused("HS-MESSAGES", "MALFORMED")
    if kind != wanted:
        raise Refused("HS-ORDER", "PROTOCOL_VIOLATION")
    return reader


def count(reader):
    value = reader.varint("u64")
    if value > LIMITS["MAX_EXTENSIONS_COUNT"]:
        raise Refused("HS-LIST-LIMITS", "MALFORMED")
    return value


def extensions(reader):
    found = []
    for _ in range(count(reader)):
        number, length = reader.varint("u16"), reader.varint("u64")
        if length > LIMITS["MAX_EXTENSION_BODY"]:
            raise Refused("HS-LIST-LIMITS", "MALFORMED")
        found.append((number, reader.take(length)))
    return found


def check_once(found):
    if len({number for number, _ in found}) != len(found):
        raise Refused("HS-EXT-ONCE", "PROTOCOL_VIOLATION")


def write_extensions(found):
    return varint(len(found)) + b"".join(varint(number) + sized(body) for number, body in found)


def read_hello_i(message):
    reader = open_message(message, HELLO_I)
    hello = {
        "versions": [reader.varint("u16") for _ in range(count(reader))],
        "suites": [reader.varint("u16") for _ in range(count(reader))],
        "auth": reader.varint("u16"),
        "id": reader.take(16),
        "random": reader.take(32),
        "key": reader.take(xwing.PK),
        "extensions": extensions(reader),
    }
    reader.end()
    return hello


def write_hello_i(hello):
    lists = b"".join(
        varint(len(numbers)) + b"".join(map(varint, numbers))
        for numbers in (hello["versions"], hello["suites"])
    )
    fixed = varint(hello["auth"]) + hello["id"] + hello["random"] + hello["key"]
    return bytes([0, HELLO_I]) + lists + fixed + write_extensions(hello["extensions"])


def read_hello_r(message):
    reader = open_message(message, HELLO_R)
    hello = {
        "version": reader.varint("u16"),
        "suite": reader.varint("u16"),
        "auth": reader.varint("u16"),
        "random": reader.take(32),
        "ciphertext": reader.take(xwing.CT),
        "extensions": extensions(reader),
        "tag": reader.take(TAG),
    }
    reader.end()
    return hello


def respond(message, auth, held=()):
    """What a responder that waits checks of a first message, in order. `held` are
    the ids of the sessions that it can resume."""
    hello = read_hello_i(message)
    if not VERSIONS & set(hello["versions"]):
        raise Refused("HS-CHOICE", "UNSUPPORTED_VERSION")
    if not SUITES & set(hello["suites"]):
        raise Refused("HS-CHOICE", "UNSUPPORTED_SUITE")
    if hello["auth"] != auth:
        raise Refused("HS-AUTH-MODE", "UNSUPPORTED_AUTH")
    check_once(hello["extensions"])
    if auth == RESUME:
        check_resumption(dict(hello["extensions"]), held)
    if auth == SAS:
        check_commitment(dict(hello["extensions"]))
    xwing.check_public(hello["key"])
    return hello


def check_resumption(found, held):
    named = found.get(EXTENSIONS["RESUMPTION"])
    if named is None:
        raise Refused("HS-RESUME-PICK", "PROTOCOL_VIOLATION")
    if len(named) != 16:
        raise Refused("HS-RESUME-PICK", "MALFORMED")
    if named not in held:
        raise Refused("HS-RESUME-PICK", "RESUMPTION_UNKNOWN")


def check_commitment(found):
    commit = found.get(EXTENSIONS["SAS_COMMIT"])
    if commit is None:
        raise Refused("HS-SAS-COMMIT", "PROTOCOL_VIOLATION")
    if len(commit) != 32:
        raise Refused("HS-SAS-COMMIT", "MALFORMED")
    return commit


def held_by(case):
    """The ids that the responder of a case can resume: in mode RESUME, the context."""
    return [bytes.fromhex(case["auth_context"])] if case["auth_mode"] == RESUME else []


def transcript(case, hello_i, hello_r):
    return items(
        ("binding initiator", bytes.fromhex(case["binding_initiator"])),
        ("binding responder", bytes.fromhex(case["binding_responder"])),
        ("auth mode", case["auth_mode"].to_bytes(2, "little")),
        ("auth context", bytes.fromhex(case["auth_context"])),
        ("hello initiator", hello_i),
        ("hello responder", hello_r[:-TAG]),
    )


def check_case(case):
    hello_i, hello_r = bytes.fromhex(case["hello_i"]), bytes.fromhex(case["hello_r"])
    first = respond(hello_i, case["auth_mode"], held_by(case))
    equal("HELLO_I encoded again", write_hello_i(first), hello_i)
    second = read_hello_r(hello_r)
    equal("auth of HELLO_R", second["auth"], case["auth_mode"])
    if second["version"] not in first["versions"] or second["suite"] not in first["suites"]:
        raise Wrong("HELLO_R chose what was not offered")
    check_once(second["extensions"])
    offered = {number for number, _ in first["extensions"]}
    if not {number for number, _ in second["extensions"]} <= offered:
        raise Wrong("HELLO_R has an extension that was not offered")

    pair = xwing.KeyPair(bytes.fromhex(case["kem_seed"]))
    equal("encapsulation key", pair.public, first["key"])
    kem_secret = pair.decapsulate(second["ciphertext"])
    equal("kem_secret", kem_secret, case["kem_secret"])
    digest = transcript(case, hello_i, hello_r)
    equal("transcript", digest, case["transcript"])
    keys = schedule(bytes.fromhex(case["psk"]), kem_secret, digest)
    renamed = {"confirm initiator": "confirm_initiator_key", "confirm responder": "confirm_responder_key"}
    for name, key in {**keys, **resumption(keys["resumption"])}.items():
        equal(name, key, case[renamed.get(name, name.replace(" ", "_"))])
    equal("tag of HELLO_R", second["tag"], mac(keys["confirm responder"], digest))
    reader = open_message(bytes.fromhex(case["confirm"]), CONFIRM)
    equal("tag of CONFIRM", reader.take(TAG), mac(keys["confirm initiator"], digest))
    if case["auth_mode"] == SAS:
        sas.check_nonce(check_commitment(dict(first["extensions"])), reader.take(32))
    reader.end()
    exported = expand_label(keys["exporter"], "exporter app", b"ctx", 32)
    equal("exported secret", exported, case["export_app_ctx"])

    # HS-DOWNGRADE: any byte of either hello is in the transcript.
    for place in range(0, len(hello_i), 97):
        other = hello_i[:place] + bytes([hello_i[place] ^ 1]) + hello_i[place + 1 :]
        if transcript(case, other, hello_r) == digest:
            raise Wrong(f"byte {place} of HELLO_I is not in the transcript")


def check(vectors):
    yield "the example of Expand-Label's info"
    example = "00100d70617373656c207631206b657902aabb"
    equal("info", label_info("key", bytes.fromhex("aabb"), 16), example)
    for case in vectors["cases"]:
        yield case["why"]
        check_case(case)
    for case in vectors["refused"]:
        yield case["why"]
        message, by = bytes.fromhex(case["hello_i"]), vectors["cases"][case["case"]]
        refused = refusal(case["why"], lambda: respond(message, by["auth_mode"], held_by(by)))
        equal("rule", refused.rule, case["rule"])
        equal("code", refused.code, case["code"])
