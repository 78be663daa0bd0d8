# SPDX-License-Identifier: GPL-3.0-or-later
"""embed.py FILE… : each FILE.SHELL as a string constant of C, completion_SHELL."""
import json
import os
import sys

print('/* Made from client/completion/ by embed.py. */')
print('#include "client/completion.h"')
for path in sys.argv[1:]:
    shell = os.path.splitext(path)[1][1:]
    with open(path, encoding='ascii') as f:
        lines = ''.join(f'\n\t{json.dumps(line)}' for line in f)
    print(f'const char completion_{shell}[] ={lines};')
