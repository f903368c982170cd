"""Choices that depend on a seed alone: the same in every process, on every machine."""

from hashlib import sha256

_BLOCK = 256  # bits in one SHA-256
_SPARE = 128  # bits beyond the limit's own, which keep the modulo's bias under 2**-128


def draw(limit: int, *seed: str) -> int:
    """A number from 0 to `limit` - 1, each equally likely over the seeds.

    Args:
        limit: how many numbers there are, at least 1.
        seed: the parts of the seed; their boundaries count.
    """
    key = b"".join(
        len(part.encode("utf-8", "surrogatepass")).to_bytes(8) + part.encode("utf-8", "surrogatepass") for part in seed
    )
    blocks = (limit.bit_length() + _SPARE) // _BLOCK + 1
    digest = b"".join(sha256(key + block.to_bytes(4)).digest() for block in range(blocks))
    return int.from_bytes(digest) % limit
