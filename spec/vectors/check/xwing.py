"""Section 4.5 of the spec: X-Wing, and `xwing.json`. ML-KEM is computed by
`mlkem.py` and, where the installed `cryptography` has it, by that too."""

import hashlib

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

import mlkem
from registry import Refused, equal, refusal

PRIME = 2**255 - 19
PK_M, PK, CT_M, CT = 1184, 1216, 1088, 1120


def second_mlkem():
    """The class of ML-KEM-768 keys of `cryptography`, if it can make one."""
    try:
        from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey

        MLKEM768PrivateKey.from_seed_bytes(bytes(64))
    except Exception:  # a missing module, class or algorithm: each says no
        return None
    return MLKEM768PrivateKey


SECOND = second_mlkem()


def x25519(secret, public):
    if int.from_bytes(public, "little") >= PRIME:
        raise Refused("HS-KEM-CANONICAL", "MALFORMED")
    try:
        key = X25519PrivateKey.from_private_bytes(secret)
        return key.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:  # the shared secret is all zeros
        raise Refused("HS-KEM-CONTRIBUTORY", "MALFORMED") from None


def x25519_base(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def combine(ss_m, ss_x, ct_x, pk_x):
    label = bytes.fromhex("5c2e2f2f5e5c")
    return hashlib.sha3_256(ss_m + ss_x + ct_x + pk_x + label).digest()


class KeyPair:
    def __init__(self, seed):
        expanded = hashlib.shake_256(seed).digest(96)
        self.seed_m, self.secret_x = expanded[:64], expanded[64:]
        pk_m, self.private_m = mlkem.key_pair(expanded[:32], expanded[32:64])
        self.pk_x = x25519_base(self.secret_x)
        self.public = pk_m + self.pk_x

    def decapsulate(self, ciphertext):
        if len(ciphertext) != CT:
            raise Refused("HS-KEM-LENGTH", "MALFORMED")
        ct_m, ct_x = ciphertext[:CT_M], ciphertext[CT_M:]
        ss_x = x25519(self.secret_x, ct_x)
        ss_m = mlkem.decapsulate(self.private_m, ct_m)
        if SECOND is not None:
            equal("ss_M of two ML-KEMs", ss_m, SECOND.from_seed_bytes(self.seed_m).decapsulate(ct_m))
        return combine(ss_m, ss_x, ct_x, self.pk_x)


def check_public(public, random=bytes(range(32))):
    """Refuses an encapsulation key; any X25519 secret shows a value without contribution."""
    if len(public) != PK:
        raise Refused("HS-KEM-LENGTH", "MALFORMED")
    if not mlkem.passes_modulus_check(public[:PK_M]):
        raise Refused("HS-KEM-CANONICAL", "MALFORMED")
    return x25519(random, public[PK_M:])


def encapsulate(public, random):
    ss_x = check_public(public, random[32:])
    ss_m, ct_m = mlkem.encapsulate(public[:PK_M], random[:32])
    ct_x = x25519_base(random[32:])
    return combine(ss_m, ss_x, ct_x, public[PK_M:]), ct_m + ct_x


def check(vectors):
    pairs = []
    for case in vectors["cases"]:
        yield case["why"]
        pair = KeyPair(bytes.fromhex(case["seed"]))
        pairs.append(pair)
        equal("pk", pair.public, case["pk"])
        secret, ciphertext = encapsulate(pair.public, bytes.fromhex(case["eseed"]))
        equal("ct", ciphertext, case["ct"])
        equal("ss", secret, case["ss"])
        equal("ss of the other side", pair.decapsulate(ciphertext), case["ss"])
        altered = bytes([ciphertext[0] ^ 1]) + ciphertext[1:]
        if pair.decapsulate(altered) == secret:
            raise AssertionError("an altered ciphertext gives the same secret")
    for case in vectors["refused"]:
        yield case["why"]
        value = bytes.fromhex(case["value"])
        run = check_public if case["kind"] == "pk" else pairs[0].decapsulate
        equal("rule", refusal(case["why"], lambda: run(value)).rule, case["rule"])
