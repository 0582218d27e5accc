"""The hash tree of chapter 6, both as it is defined and as it is computed while
chunks come, and `tree.json`."""

from keyschedule import sha256
from registry import equal


def leaf(chunk):
    return sha256(b"\0", chunk)


def node(left, right):
    return sha256(b"\1", left, right)


def root(leaves):
    if not leaves:
        return sha256()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node(root(leaves[:split]), root(leaves[split:]))


def root_of_a_stream(leaves):
    stack = []
    for count, hash in enumerate(leaves):
        while count % 2:
            hash = node(stack.pop(), hash)
            count //= 2
        stack.append(hash)
    if not stack:
        return sha256()
    hash = stack.pop()
    while stack:
        hash = node(stack.pop(), hash)
    return hash


def check(vectors):
    for case in vectors["cases"]:
        yield case["why"]
        leaves = [leaf(bytes.fromhex(chunk)) for chunk in case["chunks"]]
        equal("leaves", [hash.hex() for hash in leaves], case["leaves"])
        equal("root", root(leaves), case["root"])
        equal("root as chunks come", root_of_a_stream(leaves), case["root"])
