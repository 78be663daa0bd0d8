#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""embed.py OUTPUT NNN-name.sql...: the migrations as one C table, in their order."""
import json
import pathlib
import sys

files = sorted(pathlib.Path(name) for name in sys.argv[2:])
with open(sys.argv[1], "w", encoding="ascii") as out:
    out.write('#include "store/migrate.h"\n\nconst struct migration store_migrations[] = {\n')
    for expected, path in enumerate(files, start=1):
        number, _, name = path.stem.partition("-")
        if int(number) != expected:
            sys.exit(f"{path}: expected number {expected:03}")
        lines = path.read_text(encoding="ascii").splitlines()
        out.write(f"\t{{{json.dumps(name)},\n")
        out.writelines(f"\t {json.dumps(line + chr(10))}\n" for line in lines)
        out.write("\t},\n")
    out.write(f"}};\nconst unsigned store_migrations_n = {len(files)};\n")
