"""Statements and receipts of chapter 7, and `receipt.json`."""

import frames
from keyschedule import mac, sha256
from records import ROLES
from registry import Refused, equal, refusal


def statement(case):
    place = case["place"].to_bytes(4, "little")
    if case["verdict"] == "failed":
        return place + b"\0" + case["code"].to_bytes(2, "little")
    return place + b"\1" + int(case["length"]).to_bytes(8, "little") + bytes.fromhex(case["root"])


def receipt_mac(key, receiver, receipt):
    """Over the body of RECEIPT without its last 32 bytes."""
    body = frames.write_body(receipt)
    return mac(key, b"passel v1 receipt" + bytes([ROLES[receiver]]) + body[:-32])


def check_receipt(receipt, key, receiver, files, digest):
    delivered, failed = receipt["delivered"], receipt["failed"]
    if (
        receipt_mac(key, receiver, receipt).hex() != receipt["mac"]
        or receipt["statements"] != digest.hex()
        or delivered > files
        or delivered + failed < files
    ):
        raise Refused("TR-RECEIPT-CHECK", "PROTOCOL_VIOLATION")


def check(vectors):
    for case in vectors["receipts"]:
        yield case["why"]
        data = b"passel v1 statements" + b"".join(map(statement, case["statements"]))
        equal("bytes of the statements", data, case["statements_bytes"])
        equal("digest of the statements", sha256(data), case["statements_digest"])
        found, _, _ = frames.read_plaintext(bytes.fromhex(case["receipt"]), "control")
        equal("frames", [frame["type"] for frame in found], ["RECEIPT"])
        arguments = (
            found[0], bytes.fromhex(case["receipt_key"]), case["receiver"],
            len(case["statements"]), sha256(data),
        )
        if case["verdict"] == "accept":
            check_receipt(*arguments)
        else:
            refused = refusal(case["why"], lambda: check_receipt(*arguments))
            equal("rule", refused.rule, case["rule"])
