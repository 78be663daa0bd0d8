# SPDX-License-Identifier: GPL-3.0-or-later
"""A real website (Debian's policy manual) in real browsers, through Tor.

Links, pictures, the search by script, jumping about in a film, downloads that go on after
the daemon was started again. Screenshots as in test_browsers.py.
"""
import os
import shutil
import socket
import sys
import threading

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import film  # noqa: E402
from browsers import BROWSERS, BrowserError  # noqa: E402
from lib.daemon import BUILD, Daemon  # noqa: E402
from lib.waiting import until  # noqa: E402

MANUAL = '/usr/share/doc/debian-policy/policy.html'
LARGE = 20_000_000
SHOTS = os.path.join(BUILD, 'screenshots')


@pytest.fixture(scope='module')
def film_file(tmp_path_factory):
    """A film, or None if it cannot be made."""
    if not film.installed():
        return None
    path = str(tmp_path_factory.mktemp('film') / 'film.webm')
    film.make(path)
    return path


def film_page(daemon, folder, film_file):
    daemon.file(folder + '/index.html', b'<!DOCTYPE html><title>Film</title><h1>A film</h1>'
                b'<video src="film.webm" controls preload="metadata"></video>')
    shutil.copy(film_file, os.path.join(daemon.content, folder))


@pytest.fixture(scope='module')
def site(tornet, film_file):
    """The manual behind an onion, known to the first client: (daemon, service)."""
    if not os.path.isdir(MANUAL):
        pytest.skip('debian-policy is not installed')
    daemon = Daemon(['--tor', 'managed', '--torrc', tornet.torrc_file]).start()
    try:
        folder = os.path.join(daemon.content, 'manual')
        # What it links to outside (scripts of other packages) is copied with it.
        shutil.copytree(MANUAL, folder)
        if film_file:
            film_page(daemon, 'manual/film', film_file)
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


def picture(b):
    """The colour in the middle of what the video shows, where no figure is."""
    return b.run('''
        const v = document.querySelector("video"), c = document.createElement("canvas");
        c.width = v.videoWidth, c.height = v.videoHeight;
        const g = c.getContext("2d");
        g.drawImage(v, 0, 0);
        const p = g.getImageData(c.width - 60, c.height - 60, 40, 40).data, sum = [0, 0, 0];
        for (let i = 0; i < p.length; i++) { if (i % 4 < 3) { sum[i % 4] += p[i] / 1600; } }
        return sum;''')


def jump(b, second):
    """To a second of the film, until its picture is there."""
    b.run(f'document.querySelector("video").currentTime = {second}; return 1')
    until(lambda: b.run('const v = document.querySelector("video");'
                        f'return !v.seeking && v.readyState >= 2 && v.currentTime >= {second}'),
          f'it stands at second {second}', 90, step=0.5)
    wanted, seen = film.colour_at(second), picture(b)
    assert all(abs(w - s) < 60 for w, s in zip(wanted, seen)), (second, wanted, seen)


def until_it_has_a_length(b):
    until(lambda: b.run('return document.querySelector("video").readyState') >= 1,
          'its length is known', 90, step=0.5)
    assert abs(b.run('return document.querySelector("video").duration') - film.SECONDS) < 1
    assert b.run('return document.querySelector("video").videoWidth') == film.WIDTH


needs_film = pytest.mark.skipif(not film.installed(), reason='vpxenc is not installed')


@needs_film
@pytest.mark.parametrize('browser', BROWSERS, ids=lambda b: b.name)
def test_a_visitor_jumps_about_in_a_film(site, tornet, browser):
    _, service = site
    with browser(socks_port=tornet.clients[0].socks_port) as b:
        opened(b, service['url'] + '/film/', 'Film')
        until_it_has_a_length(b)
        jump(b, 110)
        shot(b, 'film')
        jump(b, 50)


@needs_film
@pytest.mark.parametrize('browser', BROWSERS, ids=lambda b: b.name)
def test_a_jump_leaves_out_what_lies_between(daemon, film_file, browser):
    film_page(daemon, 'film', film_file)
    daemon.json('create', 'website', 'film', os.path.join(daemon.content, 'film'))
    with browser() as b:
        b.open(daemon.json('start', 'film')['url'] + '/')
        until_it_has_a_length(b)
        jump(b, 110)
    until(lambda: daemon.show('film')['transfers']['active'] == 0, 'nothing is sent any more')
    assert daemon.show('film')['transfers']['bytes_out'] < os.path.getsize(film_file) * 0.7


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


class Road:
    """To a daemon on the loopback: each connection brings only so much, until the daemon is gone
    and they are told so by widen(); then all of it."""

    def __init__(self, port, narrow):
        self.port, self.narrow = port, narrow
        self.wide = threading.Event()
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.url = f'http://127.0.0.1:{self.listener.getsockname()[1]}/'
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                here, _ = self.listener.accept()
            except OSError:
                return
            try:
                there = socket.create_connection(('127.0.0.1', self.port))
            except OSError:
                here.close()
                continue
            threading.Thread(target=self._carry, args=(here, there), daemon=True).start()
            threading.Thread(target=self._carry, args=(there, here, self.narrow),
                             daemon=True).start()

    def widen(self):
        self.narrow = None
        self.wide.set()

    def _carry(self, one, other, limit=None):
        try:
            while (limit is None or limit > 0) and (data := one.recv(1 << 16)):
                other.sendall(data)
                limit = None if limit is None else limit - len(data)
            if limit is not None:
                self.wide.wait()
        except OSError:
            pass
        for end in (one, other):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def partial(b):
    """How much of a download is on the disk."""
    return max([os.path.getsize(os.path.join(b.downloads, name))
                for name in os.listdir(b.downloads)], default=0)


@pytest.mark.parametrize('browser', BROWSERS, ids=lambda b: b.name)
def test_a_download_goes_on_when_the_daemon_is_back(daemon, browser):
    """Killed in the middle of it; the browser goes on where it was."""
    daemon.file('site/index.html', b'<!DOCTYPE html><title>Large</title><a href="large.bin">x</a>')
    data = os.urandom(LARGE)
    daemon.file('site/large.bin', data)
    daemon.json('create', 'website', 'large', os.path.join(daemon.content, 'site'))
    road = Road(int(daemon.json('start', 'large')['backend'].rpartition(':')[2]), LARGE // 2)
    with browser() as b:
        b.open(road.url)
        b.click('a')
        until(lambda: partial(b) > 1_000_000, 'some of it has come')
        daemon.kill()
        road.widen()
        daemon.start()
        daemon.until_state('large', 'running')
        b.resume_download()
        with open(b.downloaded(), 'rb') as f:
            assert f.read() == data
    road.listener.close()
    until(lambda: daemon.show('large')['transfers']['active'] == 0, 'it has been sent')
    # It began with what was there: nothing was sent twice.
    assert daemon.show('large')['transfers']['bytes_out'] < LARGE - 1_000_000
