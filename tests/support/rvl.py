"""Depth packed by RVL, unpacked by a decoder that is written after its description and shares nothing with the program's."""

import struct


def unpack_rvl(data):
    form, a, b, columns, rows = struct.unpack_from("<iffII", data)
    assert form == 0
    words = struct.unpack_from(f"<{(len(data) - 20) // 4}I", data, 20)
    nibbles = (word >> shift & 15 for word in words for shift in range(28, -4, -4))

    def number():
        value, shift = 0, 0
        while True:
            nibble = next(nibbles)
            value |= (nibble & 7) << shift
            shift += 3
            if not nibble & 8:
                return value

    pixels, previous = [], 0
    while len(pixels) < columns * rows:
        pixels += [0] * number()
        for _ in range(number()):
            folded = number()
            previous += folded >> 1 if folded % 2 == 0 else -((folded + 1) >> 1)
            pixels.append(previous)
    assert len(pixels) == columns * rows
    return columns, rows, a, b, pixels
