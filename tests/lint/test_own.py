# SPDX-License-Identifier: GPL-3.0-or-later
"""Each of the project's own rules catches a sample that breaks it, and lets a good one pass."""
import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import own  # noqa: E402

TABLE = '''
base:
proto: base
client: proto base
daemon/http: base
daemon/mode: daemon/http base
"version.h": *
<sqlite3.h>: daemon/store
<mbedtls/>: base
'''
FILES = {'base/buf.h', 'proto/wire.h', 'client/opt.h', 'daemon/http/req.h', 'daemon/mode/mode.h'}


def complaints(path, text):
    return list(own.IncludeTable(TABLE).check(path, text, FILES.__contains__))


@pytest.mark.parametrize('path, line', [
    ('client/main.c', '#include "daemon/http/req.h"'),
    ('client/main.c', '#include "http/req.h"'),
    ('daemon/http/conn.c', '#include "mode/mode.h"'),
    ('daemon/http/conn.c', '#  include "mode/mode.h"'),
    ('daemon/http/conn.c', '#include "../mode/mode.h"'),
    ('base/x.c', '#include "proto/wire.h"'),
    ('daemon/mode/share.c', '#include <sqlite3.h>'),
    ('daemon/http/conn.c', '#include <mbedtls/sha256.h>'),
    ('daemon/http/conn.c', '#include "http/missing.h"'),
    ('elsewhere/x.c', ''),
])
def test_a_wrong_include_is_caught(path, line):
    assert len(complaints(path, f'/* one */\n{line}\n')) == 1


@pytest.mark.parametrize('path, line', [
    ('client/main.c', '#include "proto/wire.h"'),
    ('client/main.c', '#include "opt.h"'),
    ('client/main.c', '#include "version.h"'),
    ('daemon/mode/share.c', '#include "http/req.h"'),
    ('daemon/http/conn.c', '#include "base/buf.h"'),
    ('base/x.c', '#include <mbedtls/sha256.h>'),
    ('base/x.c', '#include <stdio.h>'),
])
def test_a_right_include_passes(path, line):
    assert complaints(path, f'/* one */\n{line}\n') == []


def test_a_table_with_a_circle_is_refused():
    with pytest.raises(ValueError):
        own.IncludeTable('a: b\nb: c\nc: a\n')


@pytest.mark.parametrize('function', sorted(own.BANNED))
def test_each_banned_function_is_caught(function):
    found = list(own.banned_functions('x.c', f'int f(void)\n{{\n\treturn {function} (a, b);\n}}\n'))
    assert len(found) == 1 and found[0].startswith('x.c:3: ')


@pytest.mark.parametrize('text', [
    'snprintf(b, n, "%s", s);',
    'my_strcpy(a, b);',
    '/* unlike sprintf(x) */',
    '// strcpy(a, b)',
    'puts("do not call gets() here");',
    'o->atoi(x); o.gets(y);',
])
def test_what_only_looks_banned_passes(text):
    assert list(own.banned_functions('x.c', text + '\n')) == []


def test_a_missing_licence_line_is_caught():
    assert list(own.spdx_line('x.c', 'int x;\n'))
    assert list(own.spdx_line('x.c', 'a\nb\nc\n/* ' + own.SPDX + ' */\n'))
    assert not list(own.spdx_line('x.c', '/* ' + own.SPDX + ' */\n'))
    assert not list(own.spdx_line('x', '#!/bin/bash\n# ' + own.SPDX + '\n'))


@pytest.mark.parametrize('word', ['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'HA' + 'CK'])
def test_unfinished_work_is_caught(word):
    assert list(own.unfinished_work('x.c', f'/* {word}: later */\n'))
    assert not list(own.unfinished_work('x.c', f'mkdtemp(path_{word}S);\n'))


def test_stray_white_space_is_caught():
    assert list(own.whitespace('x', 'a \n'))
    assert list(own.whitespace('x', 'a'))
    assert list(own.whitespace('x', 'a\r\n'))
    assert not list(own.whitespace('x', 'a\n\n'))


def test_a_failing_check_fails_the_command():
    """The runner itself: a check that is not there is a misuse, and list and exit status agree."""
    run = os.path.join(os.path.dirname(__file__), 'run')
    assert subprocess.run([run, 'no-such-check'], capture_output=True).returncode == 2
    bad = subprocess.run([run, '--self-test'], capture_output=True, text=True)
    assert bad.returncode == 1
    assert 'failed self-test' in bad.stdout and '0 passed, 1 failed' in bad.stdout
