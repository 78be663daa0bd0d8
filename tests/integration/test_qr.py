# SPDX-License-Identifier: GPL-3.0-or-later
"""QR codes as a phone sees them: drawn from the terminal's text, read by zbar."""
import subprocess

import pytest

SCALE = 6
HALF_BLOCKS = {' ': (1, 1), '▀': (0, 1), '▄': (1, 0), '█': (0, 0)}  # 1: dark


def codes(text, plain):
    """The codes in what was printed, as lists of rows of modules."""
    found, rows = [], []
    for line in [*text.split('\n'), '']:
        if plain and line and set(line) <= {'#', ' '} and line.startswith('##'):
            rows.append([int(line[i] == ' ') for i in range(0, len(line), 2)])
        elif not plain and line and set(line) <= set(HALF_BLOCKS) and '█' in line:
            pairs = [HALF_BLOCKS[c] for c in line]
            rows += [[p[0] for p in pairs], [p[1] for p in pairs]]
        elif rows:
            found.append(rows)
            rows = []
    return found


def decode(rows, path):
    with open(path, 'w') as f:
        f.write(f'P1\n{len(rows[0]) * SCALE} {len(rows) * SCALE}\n')
        for row in rows:
            line = ' '.join(str(m) for m in row for _ in range(SCALE)) + '\n'
            f.write(line * SCALE)
    return subprocess.run(['zbarimg', '-q', '--raw', path], capture_output=True,
                          text=True).stdout.rstrip('\n')


@pytest.mark.parametrize('locale', ['C.UTF-8', 'C'])
def test_a_phone_reads_address_and_key(daemon, tmp_path, locale):
    daemon.json('create', 'receive', 'box')
    service = daemon.json('show', 'box')
    shown = daemon.ctl('show', 'box', '--qr', env={'LC_ALL': locale})
    assert shown.status == 0
    said = [decode(rows, str(tmp_path / 'code.pbm'))
            for rows in codes(shown.out, plain=locale == 'C')]
    assert said[0] == service['url'], shown.out
    assert said[1:] in ([], [service['keys'][0]['private_key']])
