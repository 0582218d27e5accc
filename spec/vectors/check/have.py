"""The largest complete subtrees of a set of leaves and the digest over them, of
chapter 13, and `have.json`."""

from keyschedule import sha256
from registry import Wrong, equal
from tree import node


def subtrees(leaves):
    """Joins neighbours of the same size as long as there are any."""
    found = sorted((first, 0, root) for first, root in leaves.items())
    while True:
        for place in range(len(found) - 1):
            (first, n, left), (other, m, right) = found[place : place + 2]
            if n == m and other == first + 2**n and first % 2 ** (n + 1) == 0:
                found[place : place + 2] = [(first, n + 1, node(left, right))]
                break
        else:
            return found


def digest(found):
    parts = [first.to_bytes(8, "little") + bytes([n]) + root for first, n, root in found]
    return sha256(b"passel v1 have", *parts)


def check(vectors):
    for case in vectors["cases"]:
        yield case["why"]
        leaves = {int(leaf["index"]): bytes.fromhex(leaf["hash"]) for leaf in case["leaves"]}
        if len(leaves) != len(case["leaves"]):
            raise Wrong("a leaf is there twice")
        found = subtrees(leaves)
        told = [{"first": str(first), "n": n, "root": root.hex()} for first, n, root in found]
        equal("subtrees", told, case["subtrees"])
        equal("digest", digest(found).hex(), case["digest"])
