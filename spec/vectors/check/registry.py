"""Numbers of `spec/registry.toml`: limits, error codes, frames. None is written
down a second time in this reader. What they are for is in the other modules."""

import pathlib
import tomllib

VECTORS = pathlib.Path(__file__).resolve().parent.parent

with open(VECTORS.parent / "registry.toml", "rb") as file:
    REGISTRY = tomllib.load(file)

LIMITS = REGISTRY["limits"]
ERRORS = {entry["name"]: entry["id"] for entry in REGISTRY["error"]}
CHANNELS = {entry["name"]: entry["id"] for entry in REGISTRY["channel"]}
EXTENSIONS = {entry["name"]: entry["id"] for entry in REGISTRY["extension"]}
FRAMES = {entry["id"]: entry for entry in REGISTRY["frame"]}
VERSIONS = {REGISTRY["version"]}
SUITES = {entry["id"] for entry in REGISTRY["suite"]}
PROTOCOL = REGISTRY["protocol"].encode()
LABEL_PREFIX = REGISTRY["labels"]["prefix"].encode()


class Refused(Exception):
    """What a receiver refuses: the rule that was broken and the code that answers it."""

    def __init__(self, rule, code=None):
        super().__init__(f"{rule} {code or ''}".strip())
        if code is not None and code not in ERRORS:
            raise ValueError(f"no error code {code}")
        self.rule = rule
        self.code = code


class Wrong(Exception):
    """A vector and this reader disagree."""


def equal(what, found, wanted):
    """Fails where two values that the spec makes equal are not."""
    if isinstance(found, bytes):
        found = found.hex()
    if isinstance(wanted, bytes):
        wanted = wanted.hex()
    if found != wanted:
        raise Wrong(f"{what}: computed {found!r}, the vector says {wanted!r}")


def refusal(what, run):
    """The refusal that `run` comes to; not to refuse is a failure."""
    try:
        value = run()
    except Refused as refused:
        return refused
    raise Wrong(f"{what}: taken as {str(value)[:80]!r}, but the vector refuses it")
