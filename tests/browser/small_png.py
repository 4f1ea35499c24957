"""Makes a screenshot small: a page has few colours, so a palette of 256 holds what its PNG spends 32 bits a pixel on.

https://www.w3.org/TR/png-3/
"""

import struct
import zlib
from collections import Counter

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def small(png: bytes) -> bytes:
    """The picture with a palette, and without what no pixel needs. Near colours may become one."""
    chunks = list(_chunks(png))
    width, height, _, colour_type = struct.unpack(">IIBB", chunks[0][1][:10])
    depth = {2: 3, 6: 4}[colour_type]
    raw = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
    rows = _unfiltered(raw, width * depth, depth, height)
    pixels = [[bytes(row[at : at + 3]) for at in range(0, len(row), depth)] for row in rows]
    nearest = _palette(Counter(pixel for row in pixels for pixel in row))
    colours = sorted(set(nearest.values()))
    index = {pixel: colours.index(colour) for pixel, colour in nearest.items()}
    packed = b"".join(b"\0" + bytes(index[pixel] for pixel in row) for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", header), (b"PLTE", b"".join(colours)), (b"IDAT", zlib.compress(packed, 9)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in parts)


def _palette(colours: Counter[bytes]) -> dict[bytes, bytes]:
    """Each colour's own in a palette of at most 256: of colours whose first bits agree, the most frequent stays."""
    for kept in range(8, 0, -1):
        mask = 0xFF << (8 - kept) & 0xFF
        groups: dict[bytes, bytes] = {}
        for colour, _ in colours.most_common():
            groups.setdefault(bytes(part & mask for part in colour), colour)
        if len(groups) <= 256:
            return {colour: groups[bytes(part & mask for part in colour)] for colour in colours}
    raise AssertionError("one bit of three colours makes eight")


def _chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    at, found = len(_SIGNATURE), []
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += length + 12
    return found


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _unfiltered(raw: bytes, stride: int, depth: int, height: int) -> list[bytearray]:
    rows, above = [], bytearray(stride)
    for number in range(height):
        start = number * (stride + 1)
        row = bytearray(raw[start + 1 : start + 1 + stride])
        _unfilter(raw[start], row, above, depth)
        rows.append(row)
        above = row
    return rows


def _unfilter(kind: int, row: bytearray, above: bytearray, depth: int) -> None:
    for at in range(len(row)) if kind else ():
        left = row[at - depth] if at >= depth else 0
        corner = above[at - depth] if at >= depth else 0
        guess = (0, left, above[at], (left + above[at]) // 2, _paeth(left, above[at], corner))[kind]
        row[at] = (row[at] + guess) & 0xFF


def _paeth(left: int, up: int, corner: int) -> int:
    estimate = left + up - corner
    return min((left, up, corner), key=lambda each: abs(estimate - each))
