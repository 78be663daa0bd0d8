# SPDX-License-Identifier: GPL-3.0-or-later
"""The dropbox in real browsers: with and without script, on loopback and through Tor.

Screenshots are left in the build folder, under screenshots/. What is large through Tor is of
$ONIONSHARED_LARGE_MIB mebibytes, 40 if that is not set.
"""
import hashlib
import os
import struct
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from browsers import BROWSERS, BrowserError, Chromium  # noqa: E402
from lib.daemon import BUILD  # noqa: E402
from lib.dropbox import submissions  # noqa: E402
from lib.waiting import until  # noqa: E402

SHOTS = os.path.join(BUILD, 'screenshots')
PHONE, DESK = (360, 740), (1000, 800)
MIB = 1 << 20
# Of a submission whose circuits are closed; a real one: 2048.
LARGE = int(os.environ.get('ONIONSHARED_LARGE_MIB', '40'))
every_browser = pytest.mark.parametrize('browser', BROWSERS, ids=lambda b: b.name)


def shot(browser, name):
    browser.save_screenshot(os.path.join(SHOTS, f'{name}-{browser.name}.png'))


def receive(daemon, *options, timeout=60):
    daemon.json('create', 'receive', 'box', *options)
    return daemon.json('start', 'box', timeout=timeout)


def kept(daemon):
    """(digests of files by name, message or None) of each submission, in no order."""
    return [({name: hashlib.sha256(data).hexdigest() for name, data in files.items()}, message)
            for files, message in submissions(daemon.show('box')['options']['data_dir'])]


def digest(path):
    with open(path, 'rb') as f:
        return hashlib.file_digest(f, 'sha256').hexdigest()


def submit(b, *paths, text=None):
    if paths:
        b.choose('#files', *paths)
    if text:
        b.write('#text', text)
    b.click('form.send button')


def until_said(b, text, seconds=90):
    until(lambda: text in b.text(), f'the page says {text!r}: {b.text()}', seconds)


# --- on loopback ---

@every_browser
@pytest.mark.parametrize('look', ['light', 'dark', 'phone', 'phone-dark'])
def test_a_submission_with_script(daemon, browser, look):
    service = receive(daemon)
    path = daemon.file('Grüße "quoted".txt', b'hello\n' * 1000)
    with browser(dark='dark' in look, size=PHONE if 'phone' in look else DESK) as b:
        b.open(service['url'] + '/')
        shot(b, f'dropbox-form-{look}')
        submit(b, path, text='a line\nand another')
        until_said(b, 'Message submitted, uploaded Grüße "quoted".txt')
        assert b.run('return location.pathname + location.search') == '/'
        assert not b.run('return document.querySelector("#text").value')
        # And once more, without leaving the page.
        submit(b, text='only this')
        until(lambda: b.run('return document.querySelectorAll(".uploads .info").length') == 2,
              'both have an answer')
        shot(b, f'dropbox-sent-{look}')
        assert b.run('return document.documentElement.scrollWidth <= innerWidth + 1')
    assert len(kept(daemon)) == 2 and ({}, b'only this') in kept(daemon)
    assert ({'Grüße "quoted".txt': digest(path)}, b'a line\r\nand another') in kept(daemon)


@every_browser
def test_a_submission_without_script(daemon, browser):
    service = receive(daemon)
    path = daemon.file('a.bin', os.urandom(300_000))
    with browser(scripts=False) as b:
        b.open(service['url'] + '/')
        assert not b.run('return document.querySelector(".uploads")')
        submit(b, path, text='hello')
        until_said(b, 'Message submitted, uploaded a.bin')
        shot(b, 'dropbox-noscript')
    assert kept(daemon) == [({'a.bin': digest(path)}, b'hello')]


def test_the_page_is_small_and_made_for_everybody(daemon):
    service = receive(daemon)
    with Chromium() as b:
        b.open(service['url'] + '/')
        assert b.complaints() == []
        assert all(u.startswith((service['url'], 'data:')) for u in b.requested())
        size = b.run('''return performance.getEntries().filter(e => "encodedBodySize" in e)
                        .reduce((sum, e) => sum + e.encodedBodySize, 0)''')
        assert 1000 < size < 20 * 1024
        # With the keyboard alone.
        reached = []
        for _ in range(4):
            b.press('Tab')
            reached.append(b.run('return document.activeElement.id || '
                                 'document.activeElement.textContent'))
        assert reached[:3] == ['files', 'text', 'Submit']
        b.write('#text', 'hello')
        b.press('Tab')
        b.press('Enter')
        until_said(b, 'Message submitted')
        assert b.run('return document.querySelector("p[role=status]").textContent') == \
            'Message: Message submitted'
        assert b.complaints() == []


def tiff(place, order='<'):
    """A TIFF header and two directories: the camera's maker, and where it was."""
    head = {'<': b'II', '>': b'MM'}[order] + struct.pack(order + 'HI', 42, 8)
    gps = struct.pack(order + 'H', 2 if place else 1)
    gps += struct.pack(order + 'HHI4s', 0, 1, 4, b'\2\3\0\0')
    if place:
        gps += struct.pack(order + 'HHII', 2, 5, 3, 0)
    return head + struct.pack(order + 'HHHI4sHHIII', 2, 0x10f, 2, 4, b'cam\0',
                              0x8825, 4, 1, 38, 0) + gps + bytes(4)


def photo(exif):
    return b'\xff\xd8\xff\xe1' + struct.pack('>H', len(exif) + 8) + b'Exif\0\0' + exif + b'\xff\xd9'


LOOP = b'II*\0' + struct.pack('<IHHHII', 8, 65535, 0x8825, 4, 1, 8)
PICTURES = {
    'home.jpg': (True, photo(tiff(place=True))),
    'big-endian.jpg': (True, photo(tiff(place=True, order='>'))),
    'scan.tif': (True, tiff(place=True)),
    'nowhere.jpg': (False, photo(tiff(place=False))),
    'plain.jpg': (False, b'\xff\xd8\xff\xd9'),
    'cut.jpg': (False, photo(tiff(place=True))[:40]),
    'loop.jpg': (False, photo(LOOP)),
    'far.jpg': (False, photo(b'II*\0\xff\xff\xff\xff')),
    'empty.jpg': (False, b''),
    'text.txt': (False, b'Exif\0\0 is a word here'),
}


@every_browser
def test_who_sends_a_photo_is_told_that_it_has_a_place(daemon, browser):
    service = receive(daemon)
    warned = 'return document.querySelector(".warning")?.textContent || ""'
    paths = [daemon.file(name, data) for name, (_, data) in PICTURES.items()]
    with browser() as b:
        b.open(service['url'] + '/')
        b.choose('#files', *paths)
        until(lambda: b.run(warned), 'a warning')
        assert [n for n in PICTURES if n in b.run(warned)] == \
            [n for n, (tells, _) in PICTURES.items() if tells]
        shot(b, 'dropbox-photo')
        b.click('form.send button')
        until_said(b, 'Uploaded ')
        assert b.run(warned) == ''
        b.choose('#files', *paths[3:])
        b.choose('#files', paths[0])
        until(lambda: 'home.jpg' in b.run(warned), 'a warning of the last one chosen')


@every_browser
def test_large_ones_go_in_pieces_one_after_the_other(daemon, browser):
    service = receive(daemon)
    paths = [daemon.file(f'{n}.bin', os.urandom(n * MIB)) for n in (20, 9)]
    with browser() as b:
        b.open(service['url'] + '/')
        for path in paths:
            submit(b, path)
        until(lambda: b.run('return document.querySelectorAll(".uploads .info").length') == 2,
              'both have an answer')
    for path in paths:
        assert ({os.path.basename(path): digest(path)}, None) in kept(daemon)


@every_browser
def test_an_upload_can_be_cancelled(daemon, browser):
    service = receive(daemon)
    first, path = daemon.file('first.bin', bytes(3 * MIB)), daemon.file('big.bin', b'')
    os.truncate(path, 4 << 30)
    with browser() as b:
        b.open(service['url'] + '/')
        submit(b, first, path, text='with a message')
        until(lambda: b.run('return document.querySelectorAll("progress")[1].value > 5e6'),
              'something has arrived')
        # A bar for each file, and the first of them is whole before the second begins.
        assert b.run('''return Array.from(document.querySelectorAll(".uploads li li"),
                        row => [row.textContent, row.firstElementChild.value,
                                row.firstElementChild.max])''')[0] == \
            ['first.bin', 3 * MIB, 3 * MIB]
        assert b.run('return document.querySelectorAll("progress").length') == 2
        shot(b, 'dropbox-sending')
        b.click('.uploads button')
        until_said(b, 'Cancelled. Nothing of it was kept.')
    until(lambda: daemon.show('box')['transfers']['active'] == 0, 'the daemon knows')
    assert kept(daemon) == []


@every_browser
def test_a_restarted_service_is_sent_everything_again(daemon, browser):
    service = receive(daemon)
    path = daemon.file('big.bin', os.urandom(60 * MIB))
    with browser() as b:
        b.open(service['url'] + '/')
        submit(b, path)
        until(lambda: b.run('return document.querySelector("progress").value > 3e6'),
              'something has arrived')
        daemon.kill()
        until_said(b, 'Trying again')
        shot(b, 'dropbox-broken')
        daemon.start()
        until_said(b, 'Uploaded big.bin')
    assert kept(daemon) == [({'big.bin': digest(path)}, None)]


@every_browser
def test_a_refusal_is_told(daemon, browser):
    service = receive(daemon, '--max-submission', '1M')
    with browser() as b:
        b.open(service['url'] + '/')
        for size in (2, 9):
            submit(b, daemon.file(f'{size}.bin', bytes(size * MIB)))
            until(lambda: b.run('return document.querySelector(".uploads .error")') is not None
                  and 'larger than is accepted' in b.text(), 'it is told')
            b.run('document.querySelector(".uploads .error").remove()')
        submit(b, text='a small one goes')
        until_said(b, 'Message submitted')
    assert kept(daemon) == [({}, b'a small one goes')]


# --- through Tor ---

@pytest.fixture(scope='module')
def onion(tornet):
    """A dropbox behind an onion, known to the first client: (daemon, service)."""
    from lib.daemon import Daemon
    daemon = Daemon(['--tor', 'managed', '--torrc', tornet.torrc_file]).start()
    try:
        service = receive(daemon, timeout=300)
        tornet.clients[0].auth_add(service['onion'], service['keys'][0]['private_key'])
        yield daemon, service
    finally:
        daemon.end()


def open_onion(b, service):
    def opened():
        try:
            b.open(service['url'] + '/')
            return 'OnionShare' in b.title() and '.onion' in b.run('return location.host')
        except BrowserError:
            return False
    until(opened, 'the page comes through Tor', 120, step=1)


@every_browser
@pytest.mark.parametrize('scripts', [True, False], ids=['script', 'noscript'])
def test_a_submission_through_tor(onion, tornet, browser, scripts):
    daemon, service = onion
    path = daemon.file('letter.txt', os.urandom(200_000))
    with browser(socks_port=tornet.clients[0].socks_port, scripts=scripts) as b:
        open_onion(b, service)
        submit(b, path, text='from afar')
        until_said(b, 'Message submitted, uploaded letter.txt', 120)
        shot(b, f'dropbox-onion-{scripts}')
    assert ({'letter.txt': digest(path)}, b'from afar') in kept(daemon)


def close_circuits(control):
    """All of a client's circuits, built or not, and with them what runs over them."""
    closed = 0
    for line in control.command('GETINFO circuit-status'):
        words = line.removeprefix('circuit-status=').split()
        if len(words) > 1 and words[0].isdigit():
            try:
                control.command(f'CLOSECIRCUIT {words[0]}')
                closed += 1
            except Exception:
                pass  # it has ended by itself
    return closed


@every_browser
def test_a_large_submission_survives_closed_circuits(onion, tornet, browser):
    daemon, service = onion
    client = tornet.clients[0]
    path = daemon.file('large.bin', b'')
    with open(path, 'ab') as f:
        for _ in range(LARGE):
            f.write(os.urandom(MIB))
    with browser(socks_port=client.socks_port) as b, client.control() as control:
        open_onion(b, service)
        b.run('''const notes = document.documentElement.dataset;
                 notes.broken = 0;
                 new MutationObserver(seen => {
                     if (seen.some(m => m.target.textContent.includes('Trying again'))) {
                         notes.broken = Number(notes.broken) + 1;
                     }
                 }).observe(document.querySelector('.uploads'), {childList: true, subtree: true});''')
        submit(b, path)
        for percent in (5, 20, 40, 60, 75):
            until(lambda: b.run('const p = document.querySelector("progress");'
                                f'return !p || p.value > {percent * LARGE * MIB // 100}'),
                  f'{percent}% have arrived', 300 + 2 * LARGE, step=0.1)
            assert b.run('return !!document.querySelector("progress")')
            shot(b, f'dropbox-onion-{percent}')
            assert close_circuits(control)
        until_said(b, 'Uploaded large.bin', 300 + 2 * LARGE)
        assert int(b.run('return document.documentElement.dataset.broken')) >= 3, 'the circuits were in use when they were closed'
        shot(b, 'dropbox-onion-done')
    entry = daemon.json('inbox', 'list', 'box')[-1]
    assert digest(os.path.join(entry['path'], 'large.bin')) == digest(path)
