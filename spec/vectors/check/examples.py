"""The examples in the text of chapter 3: each is a whole frame, and each frame has
one. They are read and written as the tables beside them say."""

import re

import frames
from registry import FRAMES, VECTORS, Refused, Wrong, equal

HEX = re.compile(r"[0-9a-f]{2}(?: *[0-9a-f]{2})+(?:\{\d+\})?")
RUN = re.compile(r"([0-9a-f]{2})\{(\d+)\}")


def examples():
    """Hexadecimal text in fences and in backticks of section 3.3."""
    text = (VECTORS.parent / "03-wire.md").read_text(encoding="utf-8")
    _, _, text = text.partition("## 3.3 ")
    fenced = re.findall(r"^```\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    for block in fenced:
        yield " ".join(block.replace("payload\u2026", "").split())
    for inline in re.findall(r"`([^`\n]+)`", re.sub(r"^```\n.*?^```$", "", text, flags=re.M | re.S)):
        if HEX.fullmatch(inline) and " " in inline:
            yield RUN.sub(lambda run: run[1] * int(run[2]), inline)


def check():
    channels = {number: entry["channel"] for number, entry in FRAMES.items()}
    seen = set()
    for example in examples():
        yield example[:80]
        data = bytes.fromhex(example)
        try:
            found, _, payload = frames.read_plaintext(data, channels[data[0]])
        except (KeyError, Refused) as error:
            raise Wrong(f"no frame: {error!r}") from error
        equal("frames in it", len(found), 1)
        equal("written again", frames.write_frame(found[0]) + (payload or b""), data)
        seen.add(found[0]["type"])
    equal("frames with an example", sorted(seen), sorted(frames.BODIES))
