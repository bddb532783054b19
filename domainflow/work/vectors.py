"""Outcome vectors: what became of every name of a batch, four bits a name.

Pure. What a code means stands in `work.port.DNS_CODES`; nothing here knows names.
"""

import zlib
from collections.abc import Sequence

from domainflow.errors import Corrupt
from domainflow.work.port import DNS_CODES


def pack(codes: Sequence[int]) -> bytes:
    """Compress (zlib, level 1) one nibble a code, the first in the high nibble; an odd end is filled with 0.

    Raises ValueError for a code that DNS_CODES does not have.
    """
    if codes and not 0 <= min(codes) <= max(codes) < len(DNS_CODES):
        raise ValueError(f"a code lies outside 0..{len(DNS_CODES) - 1}")
    padded = bytes(codes) + bytes(len(codes) % 2)
    return zlib.compress(bytes(high << 4 | low for high, low in zip(padded[::2], padded[1::2], strict=True)), level=1)


def unpack(packed: bytes, names: int) -> list[int]:
    """The codes of a vector of `names` names.

    Raises Corrupt unless it is exactly that long and holds known codes only; a vector that would unfold to more is
    not unfolded.
    """
    wanted = (names + 1) // 2
    unfolder = zlib.decompressobj()
    try:
        nibbles = unfolder.decompress(packed, wanted + 1)
    except zlib.error as problem:
        raise Corrupt("an outcome vector is not zlib data") from problem
    if len(nibbles) != wanted or not unfolder.eof or unfolder.unused_data:
        raise Corrupt(f"an outcome vector does not hold exactly {names} names")
    codes = [code for byte in nibbles for code in (byte >> 4, byte & 0xF)]
    if max(codes, default=0) >= len(DNS_CODES) or any(codes[names:]):
        raise Corrupt("an outcome vector holds a code that does not exist")
    return codes[:names]
