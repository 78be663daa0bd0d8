# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documents promise is there: links lead somewhere, commands are ones."""
import functools
import glob
import os
import re
import shlex
import subprocess

import pytest

from lib.daemon import ONIONSHARECTL, TOP, environment

PAGES = sorted(['README.md', *(os.path.relpath(path, TOP) for path in
                               glob.glob(f'{TOP}/docs/**/*.md', recursive=True))])
RECIPIENT = 'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p'
ONIONS = ['pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion',
          '2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion']
# What stands for something in a command.
STANDS_FOR = {'age1…': RECIPIENT, 'ID': '1795394798064818', 'FRONTEND.onion': ONIONS[0],
              'ADDRESS-OF-A': ONIONS[0], 'ADDRESS-OF-B': ONIONS[1], 'METHOD': 'Status',
              'JSON': '{}', '…': ''}


@functools.cache
def text_of(page):
    with open(os.path.join(TOP, page), encoding='utf-8') as f:
        return f.read()


def anchors(page):
    """As GitHub and its like make them of headings."""
    return {re.sub(r'[^\w\- ]', '', heading.lower()).strip().replace(' ', '-')
            for heading in re.findall(r'(?m)^#+ (.*)$', text_of(page))}


@pytest.mark.parametrize('page', PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r'\]\(([^)\s]+)\)', re.sub(r'`[^`\n]*`', '', text_of(page))):
        if re.match(r'[a-z]+:', target):
            continue
        path, _, anchor = target.partition('#')
        path = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
        assert os.path.exists(os.path.join(TOP, path)), target
        assert not anchor or anchor in anchors(path), target


def words_of(line):
    words = shlex.split(line.split(' | ')[0], comments=True)[1:]
    return [word for word in (STANDS_FOR.get(word, word) for word in words) if word]


def commands(page):
    """(line, words): of the blocks, which are indented; and what is named in a sentence."""
    text = text_of(page).replace('\\\n', ' ')
    for line in re.findall(r'(?m)^ {4,}(?:\S+/)?(onionsharectl (?:[a-z]|--json ).*)$', text):
        yield line, words_of(line)
    for line in re.findall(r'`(onionsharectl [^`\n]*)`', text):
        yield line, [*words_of(line), '--help']  # it need not be whole


@pytest.mark.parametrize('page', [page for page in PAGES if any(commands(page))])
def test_commands_are_understood(page, tmp_path):
    for line, words in commands(page):
        done = subprocess.run([ONIONSHARECTL, '--socket', '/nonexistent', *words],
                              capture_output=True, text=True, cwd=tmp_path, timeout=60,
                              stdin=subprocess.DEVNULL, env=environment())
        # No daemon, or no such file: it came as far as that.
        assert done.returncode in (0, 1, 6), (line, done.stderr)
