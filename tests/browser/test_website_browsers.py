# SPDX-License-Identifier: GPL-3.0-or-later
"""A real website (Debian's policy manual) in real browsers, through Tor.

Links, pictures, the search by script, jumping about in a recording. Screenshots as in
test_browsers.py.
"""
import io
import math
import os
import shutil
import sys
import wave

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from browsers import BROWSERS, BrowserError  # noqa: E402
from lib.daemon import BUILD, Daemon  # noqa: E402
from lib.waiting import until  # noqa: E402

MANUAL = '/usr/share/doc/debian-policy/policy.html'
SHOTS = os.path.join(BUILD, 'screenshots')
SECONDS, RATE = 600, 8000


def recording():
    """Ten minutes of a quiet tone: far more than a browser fetches ahead."""
    beat = bytes(128 + int(20 * math.sin(2 * math.pi * 440 * i / RATE)) for i in range(RATE))
    data = io.BytesIO()
    with wave.open(data, 'wb') as w:
        w.setnchannels(1)
        w.setsampwidth(1)
        w.setframerate(RATE)
        w.writeframes(beat * SECONDS)
    return data.getvalue()


@pytest.fixture(scope='module')
def site(tornet):
    """The manual behind an onion, known to the first client: (daemon, service)."""
    if not os.path.isdir(MANUAL):
        pytest.skip('debian-policy is not installed')
    daemon = Daemon(['--tor', 'managed', '--torrc', tornet.torrc_file]).start()
    try:
        folder = os.path.join(daemon.content, 'manual')
        # What it links to outside (scripts of other packages) is copied with it.
        shutil.copytree(MANUAL, folder)
        daemon.file('manual/media/tone.wav', recording())
        daemon.file('manual/media/index.html', b'<!DOCTYPE html><title>Tone</title>'
                    b'<video src="tone.wav" controls preload="metadata"></video>')
        daemon.file('manual/lists/read me.txt', b'hello\n')
        daemon.json('create', 'website', 'manual', folder)
        service = daemon.json('start', 'manual', timeout=300)
        tornet.clients[0].auth_add(service['onion'], service['keys'][0]['private_key'])
        yield daemon, service
    finally:
        daemon.end()


def opened(b, url, title):
    def attempt():
        try:
            b.open(url)
            return title in b.title()
        except BrowserError:
            return False
    until(attempt, f'{url} comes through Tor', 120, step=1)


def shot(b, name):
    b.save_screenshot(os.path.join(SHOTS, f'website-{name}-{b.name}.png'))


@pytest.mark.parametrize('browser', BROWSERS, ids=lambda b: b.name)
def test_a_manual_is_read_through_tor(site, tornet, browser):
    _, service = site
    with browser(socks_port=tornet.clients[0].socks_port) as b:
        opened(b, service['url'] + '/', 'Debian Policy Manual')
        assert b.run('return getComputedStyle(document.body).fontFamily') != ''
        assert b.run('return [...document.styleSheets].length') >= 1
        shot(b, 'front')
        # A link, and a page with pictures.
        b.run('document.querySelector(\'a[href="ap-flowcharts.html"]\').scrollIntoView(); return 1')
        b.click('a[href="ap-flowcharts.html"]')
        until(lambda: 'lowchart' in b.title(), 'the page behind the link', 60, step=0.5)
        until(lambda: b.run('return [...document.images].length >= 5 && '
                            '[...document.images].every(i => i.complete && i.naturalWidth > 100)'),
              'all pictures', 60, step=0.5)
        shot(b, 'pictures')


@pytest.mark.parametrize('browser', BROWSERS, ids=lambda b: b.name)
def test_its_search_works_through_tor(site, tornet, browser):
    _, service = site
    with browser(socks_port=tornet.clients[0].socks_port) as b:
        opened(b, service['url'] + '/search.html?q=conffile', 'Search')
        until(lambda: b.run('return document.querySelectorAll("ul.search li").length') > 3,
              'the script finds something', 90, step=0.5)
        shot(b, 'search')


@pytest.mark.parametrize('browser', BROWSERS, ids=lambda b: b.name)
def test_a_visitor_jumps_about_in_a_recording(site, tornet, browser):
    _, service = site
    with browser(socks_port=tornet.clients[0].socks_port) as b:
        opened(b, service['url'] + '/media/', 'Tone')
        until(lambda: b.run('return document.querySelector("video").readyState') >= 1,
              'its length is known', 90, step=0.5)
        assert abs(b.run('return document.querySelector("video").duration') - SECONDS) < 1
        b.run('document.querySelector("video").currentTime = 590; return 1')
        until(lambda: b.run('const v = document.querySelector("video");'
                            'return !v.seeking && v.readyState >= 2 && v.currentTime > 589'),
              'it stands at the new place', 90, step=0.5)
        shot(b, 'recording')


@pytest.mark.parametrize('browser', BROWSERS, ids=lambda b: b.name)
def test_a_listing_through_tor(site, tornet, browser):
    _, service = site
    with browser(socks_port=tornet.clients[0].socks_port) as b:
        opened(b, service['url'] + '/lists', 'OnionShare')
        assert b.run('return location.pathname') == '/lists/'
        assert 'read me.txt' in b.text() and 'All files' in b.text()
        shot(b, 'listing')
        b.click('a[href="/lists/read%20me.txt"]')
        until(lambda: 'hello' in b.text(), 'the file', 60, step=0.5)
