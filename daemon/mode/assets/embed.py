#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns the pages' files into C: embed.py OUTPUT INPUT..."""

import hashlib
import pathlib
import struct
import sys
import zlib

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ico": "image/vnd.microsoft.icon",
}


def literal(data):
    """A struct asset_bytes."""
    rows = [data[i:i + 20] for i in range(0, len(data), 20)]
    text = "\n".join("\t\t\t" + ", ".join(str(b) for b in row) + "," for row in rows)
    # Of the content alone: the same on every installation.
    tag = hashlib.sha256(data).hexdigest()[:16]
    return (f'\t\t{{"\\"{tag}\\"", {len(data)}, (const unsigned char[]){{\n{text}\n'
            "\t\t}},\n")


def pack(data):
    """With nothing of the clock or the system in its head."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    body = packer.compress(data) + packer.flush()
    head = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"
    return head + body + struct.pack("<II", zlib.crc32(data), len(data))


def entry(path):
    data = path.read_bytes()
    packed = pack(data)
    return (f'\t{{\n\t\t"{path.name}", "{TYPES[path.suffix]}",\n' + literal(data)
            + (literal(packed) if len(packed) < len(data) else "\t\t{NULL, 0, NULL},\n")
            + "\t},\n")


def main():
    output, *inputs = map(pathlib.Path, sys.argv[1:])
    output.write_text(
        "/* Made by embed.py. */\n#include <stddef.h>\n\n#include \"mode/assets.h\"\n\n"
        "const struct asset assets[] = {\n"
        + "".join(entry(path) for path in inputs)
        + f"}};\n\nconst unsigned assets_n = {len(inputs)};\n")


main()
