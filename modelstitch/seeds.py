"""Random seeds that depend on names, never on the order of work."""

import hashlib


def seed_of(*parts: object) -> int:
    """Seed, in `0 .. 2**63 - 1`, that only these parts (their `str`) determine: study seed, ids, layers, epoch, ..."""
    text = "\0".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
