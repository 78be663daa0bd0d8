# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of page under axe-core: no violation of WCAG 2.2 AA, in light and dark; and small.

axe-core comes by npm, once for a build folder; $ONIONSHARED_AXE is the path of an axe.min.js that
is taken instead. What it finds must be mended in the page: there is no list of exceptions.
"""
import hashlib
import json
import os
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from browsers import Chromium  # noqa: E402
from lib.chat import Member  # noqa: E402
from lib.daemon import BUILD  # noqa: E402
from lib.http import Connection  # noqa: E402
from lib.waiting import until  # noqa: E402
from test_chat import enter, plain_name, until_said  # noqa: E402

VERSION = '4.10.3'
DIGEST = '880970c081707360e64f34cea25ff91892f5bc95675b0776925b9709dd8a68bb'
TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']
SIZES = {'desk': (1000, 800), 'phone': (360, 740)}
MOST = 20 * 1024  # bytes of a page with all that it fetches
KEEP = ['--no-autostop-sharing']


def fetch():
    folder = os.path.join(BUILD, 'npm')
    path = os.path.join(folder, 'node_modules', 'axe-core', 'axe.min.js')
    if not os.path.exists(path):
        if not shutil.which('npm'):
            pytest.skip('axe-core comes by npm, which is not installed')
        os.makedirs(folder, exist_ok=True)
        done = subprocess.run(['npm', 'install', '--prefix', folder, '--ignore-scripts', '--no-audit',
                               '--no-fund', f'axe-core@{VERSION}'], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f'npm cannot get axe-core: {done.stderr.strip()[-300:]}')
    return path


@pytest.fixture(scope='module')
def axe():
    path = os.environ.get('ONIONSHARED_AXE') or fetch()
    with open(path, 'rb') as f:
        source = f.read()
    assert hashlib.sha256(source).hexdigest() == DIGEST, f'{path} is not axe-core {VERSION}'
    return source.decode()


@pytest.fixture
def judge(axe):
    """judge(browser, name, weigh=…): of the page that is open, all that axe-core finds."""
    def found(b):
        # By the debugger's protocol, which our pages' own policy does not bind.
        b.run(f'if (!window.axe) {{ {axe} }}')
        done = b.command('Runtime.evaluate', awaitPromise=True, returnByValue=True, expression='''
            axe.run(document, {runOnly: %s, resultTypes: ['violations']}).then(r =>
                [r.passes.length, r.violations.flatMap(v => v.nodes.map(n =>
                    [v.id, n.html, n.failureSummary]))])''' % json.dumps(TAGS))
        passes, violations = done['result']['value']
        assert passes > 5, 'axe-core has looked at nothing'
        return violations

    def judge(b, name, weigh=True):
        complaints = []
        for where, size in SIZES.items():
            for dark in False, True:
                b.look(dark, size)
                complaints += [(where, dark, *v) for v in found(b)]
        b.look(False, SIZES['desk'])
        assert complaints == [], name
        bytes_of = b.run('''return performance.getEntries().filter(e => "encodedBodySize" in e)
                            .reduce((sum, e) => sum + e.encodedBodySize, 0)''')
        if weigh:
            assert 500 < bytes_of < MOST, (name, bytes_of)
        print(f'{name}: {bytes_of} bytes')  # shown by pytest -s
    judge.found = found
    yield judge


@pytest.fixture
def folder(daemon):
    daemon.file('d/Read me first.txt', b'hello\n')
    daemon.file('d/photos/ü ☂.png', os.urandom(2000))
    daemon.file('d/<b>bold & "quoted".txt', b'x')
    daemon.file('d/مرحبا.txt', b'x')
    return os.path.join(daemon.content, 'd')


def test_faults_are_found(daemon, judge):
    service = daemon.share('docs', daemon.file('a.txt', b'x'), options=KEEP)
    with Chromium() as b:
        b.open(service['url'] + '/')
        b.run('''document.documentElement.removeAttribute('lang');
                 document.querySelector('h1').style.color = '#888';
                 document.querySelector('h1').style.background = '#999';''')
        assert {v[0] for v in judge.found(b)} == {'html-has-lang', 'color-contrast'}


def test_pages_of_a_share(daemon, folder, judge):
    one = daemon.share('one', daemon.file('single.bin', os.urandom(2000)), options=KEEP)
    many = daemon.share('many', folder, options=['--title', 'Papers for you', *KEEP])
    big = daemon.file('big', b'')
    os.truncate(big, 1 << 30)
    busy = daemon.share('busy', big)
    with Chromium() as b:
        for name, url in (('one file', one['url'] + '/'), ('a folder', many['url'] + '/'),
                          ('a folder in it', many['url'] + '/photos'),
                          ('404', many['url'] + '/nowhere')):
            b.open(url)
            judge(b, name)
        with Connection(busy['backend']) as c:
            c.send(b'GET /download HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
            c.read_head()
            b.open(busy['url'] + '/')
            assert 'download in progress' in b.text()
            judge(b, 'busy')


def test_pages_of_a_dropbox(daemon, judge):
    daemon.json('create', 'receive', 'box', '--title', 'Newsroom')
    url = daemon.json('start', 'box')['url']
    daemon.json('create', 'receive', 'texts', '--disable-files')
    texts = daemon.json('start', 'texts')['url']
    path = daemon.file('Grüße "quoted".txt', b'hello\n')

    def submit(b):
        b.choose('#files', path)
        b.write('#text', 'a message')
        b.click('form.send button')
        until_said(b, 'Message submitted, uploaded')

    with Chromium() as b:
        b.open(url + '/')
        judge(b, 'the form')
        submit(b)
        judge(b, 'the form with what was sent', weigh=False)
        b.open(texts + '/')
        judge(b, 'the form for messages only')
    with Chromium(scripts=False) as b:
        b.open(url + '/')
        submit(b)
        judge_without_script(b, judge, 'thanks')
        b.click('form.send button')
        until_said(b, 'othing')
        judge_without_script(b, judge, 'nothing was sent')


def judge_without_script(b, judge, name):
    """The page came without; axe-core is one."""
    b.command('Emulation.setScriptExecutionDisabled', value=False)
    judge(b, name, weigh=False)
    b.command('Emulation.setScriptExecutionDisabled', value=True)


def test_pages_of_a_website(daemon, folder, judge):
    daemon.json('create', 'website', 'site', folder)
    url = daemon.json('start', 'site')['url']
    for i in range(1100):
        daemon.file(f'd/many/{i}', b'')
    with Chromium() as b:
        for name, path in ('a listing', '/'), ('404', '/nowhere'):
            b.open(url + path)
            judge(b, name)
        b.open(url + '/many/')
        judge(b, 'a listing in parts', weigh=False)


def test_pages_of_a_room(daemon, judge):
    daemon.json('create', 'chat', 'room', '--title', 'Monday')
    service = daemon.json('start', 'room')
    with Chromium() as b:
        enter(b, service)
        with Member(service['backend']) as other:
            other.called('brave otter')
            other.say('Does anybody have the minutes?')
            b.write('#text', 'Yes, tonight.')
            b.click('#say button')
            other.until('message', text='Yes, tonight.')
        until_said(b, 'has left')
        judge(b, 'the room')
    with Chromium(scripts=False) as b:
        b.open(service['url'] + '/')
        judge_without_script(b, judge, 'the way in without script')
    with Chromium(endless=True) as b:
        b.open(service['url'] + '/plain')
        until(lambda: b.run('return !!document.querySelector("iframe.stream")'), 'the frame')
        judge(b, 'the frame', weigh=False)
        b.open(service['url'] + '/plain/room')
        plain_name(b)
        with Member(service['backend']) as other:
            other.called('brave otter')
            other.say('Does anybody have the minutes?')
        until_said(b, 'has left')
        judge(b, 'the room without script', weigh=False)
