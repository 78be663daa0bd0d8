# SPDX-License-Identifier: GPL-3.0-or-later
"""What people see: pages and downloads in real browsers, on loopback and through Tor.

Screenshots are left in the build folder, under screenshots/.
"""
import os
import re
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from browsers import BROWSERS, BrowserError, Chromium, Firefox  # noqa: E402
from lib.daemon import BUILD  # noqa: E402
from lib.waiting import until  # noqa: E402

KEEP = ['--no-autostop-sharing']
SHOTS = os.path.join(BUILD, 'screenshots')
PHONE, DESK = (360, 740), (1000, 800)


def shot(browser, name):
    browser.save_screenshot(os.path.join(SHOTS, f'{name}-{browser.name}.png'))


def folder(daemon):
    daemon.file('d/Read me first.txt', b'Hello from the other side of an onion.\n' * 50)
    daemon.file('d/photos/harbour.jpg', os.urandom(300_000))
    daemon.file('d/photos/ü ☂.png', os.urandom(20_000))
    daemon.file('d/a rather long name of a file that somebody gave without thinking of phones.pdf',
                os.urandom(2_000_000))
    daemon.file('d/<b>bold & "quoted".txt', b'x')
    return os.path.join(daemon.content, 'd')


@pytest.fixture
def local(daemon):
    return daemon.share('docs', folder(daemon), options=['--title', 'Papers for you', *KEEP])


@pytest.mark.parametrize('browser', BROWSERS, ids=lambda b: b.name)
@pytest.mark.parametrize('look', ['light', 'dark', 'phone', 'phone-dark'])
def test_the_page_in_every_light(local, browser, look):
    with browser(dark='dark' in look, size=PHONE if 'phone' in look else DESK) as b:
        b.open(local['url'] + '/')
        assert 'Papers for you' in b.title()
        text = b.text()
        assert 'Read me first.txt' in text and '<b>bold & "quoted".txt' in text
        shot(b, f'listing-{look}')
        # Nothing to scroll sideways, and colours that follow the wish.
        assert b.run('return document.documentElement.scrollWidth <= innerWidth + 1'), look
        assert is_dark(background(b)) == ('dark' in look)
        b.open(local['url'] + '/nowhere')
        assert 'OnionShare: 404 Not Found' == b.title()
        shot(b, f'missing-{look}')


def background(b):
    """The first colour that is not transparent, from the body outwards."""
    return b.run('''
        for (const e of [document.body, document.documentElement]) {
            const c = getComputedStyle(e).backgroundColor;
            if (!/rgba\\(.*, 0\\)|transparent/.test(c)) { return c; }
        }
        return 'rgb(255, 255, 255)';''')


def luminance(colour):
    red, green, blue = (int(n) / 255 for n in re.findall(r'\d+', colour)[:3])

    def linear(c):
        return c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4
    return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)


def is_dark(colour):
    return luminance(colour) < 0.2


@pytest.mark.parametrize('dark', [False, True], ids=['light', 'dark'])
def test_text_can_be_read(local, dark):
    """Contrast of at least 4.5 (WCAG 2.1, 1.4.3) for every piece of text."""
    with Chromium(dark=dark) as b:
        b.open(local['url'] + '/')
        pairs = b.run('''
            const found = [];
            const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            while (walk.nextNode()) {
                if (!walk.currentNode.data.trim()) { continue; }
                let e = walk.currentNode.parentElement, style = getComputedStyle(e), b = e;
                while (b && /rgba\\(.*, 0\\)|transparent/.test(getComputedStyle(b).backgroundColor)) {
                    b = b.parentElement;
                }
                if (e.offsetParent !== null) {
                    found.push([walk.currentNode.data.trim().slice(0, 40), style.color,
                                b ? getComputedStyle(b).backgroundColor : null]);
                }
            }
            return found;''')
        paper = background(b)
    assert len(pairs) > 5
    for text, colour, behind in pairs:
        one, two = luminance(colour), luminance(behind or paper)
        ratio = (max(one, two) + 0.05) / (min(one, two) + 0.05)
        assert ratio >= 4.5, (text, colour, behind, round(ratio, 2))


def test_the_page_is_made_for_everybody(local):
    """Language, headings, landmarks, names of links; keyboard; nothing blocked by its own policy."""
    with Chromium() as b:
        b.open(local['url'] + '/')
        assert b.run('return document.documentElement.lang') == 'en'
        assert b.run('return document.querySelectorAll("h1").length') == 1
        assert b.run('return document.querySelectorAll("main, [role=main]").length') == 1
        assert b.run('return !!document.querySelector("meta[name=viewport]")')
        assert b.run('return [...document.images].every(i => i.hasAttribute("alt"))')
        assert b.run('return [...document.links].every(a => (a.textContent.trim() || '
                     'a.getAttribute("aria-label")))')
        assert b.complaints() == []
        host = local['url'] + '/'
        assert all(u.startswith((host, 'data:')) for u in b.requested())
        assert b.run('return document.scripts.length') == 0
        # The download is reached with the keyboard, and one sees where one is.
        reached = []
        for _ in range(12):
            b.press('Tab')
            reached.append(b.run('return document.activeElement.getAttribute("href")'))
        assert '/download' in reached


@pytest.mark.parametrize('browser', BROWSERS, ids=lambda b: b.name)
def test_the_page_needs_no_script(daemon, browser):
    """As in Tor Browser's "Safest"."""
    data = os.urandom(400_000)
    service = daemon.share('docs', daemon.file('data.bin', data), options=KEEP)
    with browser(scripts=browser is Firefox) as b:
        b.open(service['url'] + '/')
        shot(b, 'single-file')
        b.press('Tab')
        b.click('a[href="/download"], form[action="/download"] button')
        with open(b.downloaded(), 'rb') as f:
            assert f.read() == data


@pytest.mark.parametrize('browser', BROWSERS, ids=lambda b: b.name)
def test_a_shared_page_runs_nothing_in_the_services_name(daemon, browser):
    daemon.file('d/evil.html', b'<title>quiet</title><script>document.title="ran"</script>'
                               b'<img src=x onerror="document.title=\'ran\'">')
    service = daemon.share('docs', os.path.join(daemon.content, 'd'), options=KEEP)
    with browser() as b:
        b.open(service['url'] + '/')
        try:
            b.open(service['url'] + '/evil.html')
            assert b.title() != 'ran'
        except BrowserError:
            pass  # it became a download


@pytest.mark.parametrize('browser', BROWSERS, ids=lambda b: b.name)
def test_the_busy_page(daemon, browser):
    path = daemon.file('big', b'')
    os.truncate(path, 1 << 30)
    service = daemon.share('docs', path)
    from lib.http import Connection
    with Connection(service['backend']) as c:
        c.send(b'GET /download HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
        c.read_head()
        with browser() as b:
            b.open(service['url'] + '/')
            assert 'OnionShare download in progress' in b.text()
            shot(b, 'busy')


# --- through Tor ---

@pytest.fixture(scope='module')
def onion(tornet):
    """A private share that runs behind an onion, known to the first client: (daemon, service, bytes)."""
    from lib.daemon import Daemon
    daemon = Daemon(['--tor', 'managed', '--torrc', tornet.torrc_file]).start()
    try:
        data = os.urandom(700_000)
        daemon.json('create', 'share', 'docs', daemon.file('picture.bin', data), *KEEP)
        service = daemon.json('start', 'docs', timeout=300)
        # What Tor Browser's question for the key does.
        tornet.clients[0].auth_add(service['onion'], service['keys'][0]['private_key'])
        yield daemon, service, data
    finally:
        daemon.end()


@pytest.mark.parametrize('browser', BROWSERS, ids=lambda b: b.name)
def test_a_visitor_downloads_through_tor(onion, tornet, browser):
    _, service, data = onion
    with browser(socks_port=tornet.clients[0].socks_port) as b:
        def opened():
            try:
                b.open(service['url'] + '/')
                return 'OnionShare' in b.title() and '.onion' in b.run('return location.host')
            except BrowserError:
                return False
        until(opened, 'the page comes through Tor', 120, step=1)
        shot(b, 'onion')
        assert 'picture.bin' in b.text()
        b.click('a[href="/download"], form[action="/download"] button')
        with open(b.downloaded(120), 'rb') as f:
            assert f.read() == data


def test_without_the_key_a_browser_gets_nothing(onion, tornet):
    _, service, _ = onion
    with Chromium(socks_port=tornet.clients[1].socks_port) as b:
        with pytest.raises(BrowserError):
            b.open(service['url'] + '/')
