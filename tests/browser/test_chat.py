# SPDX-License-Identifier: GPL-3.0-or-later
"""The room in real browsers: Chromium with its script, Firefox without any.

Screenshots are left in the build folder, under screenshots/.
"""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(__file__))

from browsers import BrowserError, Chromium, Firefox  # noqa: E402
from lib.chat import Member, Plain  # noqa: E402
from lib.daemon import BUILD, Daemon  # noqa: E402
from lib.waiting import until  # noqa: E402

SHOTS = os.path.join(BUILD, 'screenshots')
PHONE, DESK = (360, 740), (1000, 800)

HOSTILE = [
    '<script>document.title = "ran"</script><img src=x onerror="document.title = \'ran\'">',
    '</bdi></p></div><h1>Closed</h1><style>* { display: none }</style><!-- &lt;b&gt; &#60;',
    'right \u202e to left \u2066 and no end of it',
    'zero\u200bwidth\u200d\ufeff, a\u0301\u0301\u0301\u0301 and \u3164',
    'two\nlines,   and \t spaces',
    'w' * 16384,
]


def shot(browser, name):
    browser.save_screenshot(os.path.join(SHOTS, f'chat-{name}-{browser.name}.png'))


def room(daemon, *options, timeout=60):
    daemon.json('create', 'chat', 'room', *options)
    return daemon.json('start', 'room', timeout=timeout)


def until_said(b, text, seconds=60):
    until(lambda: text in asked(b, 'return document.body.innerText'),
          f'{b.name} says {text!r}: {b.text()}', seconds)


def asked(b, body):
    """The body's value; empty while the page is being replaced."""
    try:
        return b.run(body) or ''
    except BrowserError:
        return ''


def messages(b):
    """[class, name, text] of each message, in order."""
    return b.run('''return [...document.querySelectorAll('p.msg')].map(p =>
        [p.className, p.querySelector('b').textContent, p.querySelector('bdi').textContent])''')


def users(b):
    return b.run('return [...document.querySelectorAll("#users li")].map(li => li.textContent)')


def enter(b, service):
    """With the script; the name that one gets."""
    b.open(service['url'] + '/')
    return until(lambda: asked(b, 'return document.querySelector("#name").value'), 'a name is given')


def enter_plain(b, service, seconds=60):
    """Without script, from the front page on; what follows happens in the frame. The name."""
    until(lambda: came(b, service['url'] + '/', 'a[href="/plain"]'), 'the front page', seconds, step=1)
    b.click('a[href="/plain"]')
    until(lambda: asked(b, 'return !!document.querySelector("iframe.stream")'), 'a frame', seconds)
    b.frame('iframe.stream')
    return plain_name(b, seconds)


def plain_name(b, seconds=60):
    name = until(lambda: asked(b, 'return document.querySelector("p.sys b")?.textContent'),
                 'a name is given', seconds)
    # What comes before its styles stands elsewhere: a click would miss it.
    until(lambda: b.run('return [...document.querySelectorAll("link[rel=stylesheet]")]'
                        '.every(e => e.sheet)'), 'the styles are here', seconds)
    return name


def came(b, url, selector):
    try:
        b.open(url)
        until(lambda: asked(b, f'return !!document.querySelector({selector!r})'), url, 20)
        return True
    except (BrowserError, AssertionError):
        return False


# Of the forms without script the last ones count.
FORMS = 'section:last-of-type'


def say_plain(b, text):
    b.write(f'{FORMS} [name=text]', text)
    b.press('Enter')


def wide(b):
    """What sticks out sideways."""
    return b.run('''return document.documentElement.scrollWidth > innerWidth
        ? [...document.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right >
            innerWidth + 1).map(e => e.tagName + '.' + e.className).slice(0, 5) : []''')


# --- colours ---

COLOURS = '''
    const clear = c => /rgba\\(.*, 0\\)|transparent/.test(c);
    const behind = e => {
        while (e && clear(getComputedStyle(e).backgroundColor)) { e = e.parentElement; }
        return e ? getComputedStyle(e).backgroundColor : 'rgb(255, 255, 255)';
    };
    const found = [];
    for (const e of document.querySelectorAll('body *')) {
        const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
        if ((own || e.value) && e.checkVisibility({visibilityProperty: true})) {
            found.push([e.textContent.slice(0, 30), getComputedStyle(e).color, behind(e)]);
        }
        if (e.placeholder) {
            found.push([e.placeholder, getComputedStyle(e, '::placeholder').color, behind(e)]);
        }
    }
    return found;'''


def luminance(colour):
    def linear(c):
        return c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4
    red, green, blue = (linear(int(n) / 255) for n in re.findall(r'\d+', colour)[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def check_contrast(b, dark):
    """At least 4.5 for every piece of text (WCAG 2.1, 1.4.3), placeholders too."""
    pairs = b.run(COLOURS)
    assert len(pairs) > 5
    for text, colour, behind in pairs:
        one, two = luminance(colour), luminance(behind)
        assert (max(one, two) + 0.05) / (min(one, two) + 0.05) >= 4.5, (text, colour, behind)
    assert (luminance(b.run('return getComputedStyle(document.body).backgroundColor')) < 0.2) == dark


# --- with the script ---

def test_all_that_others_write_is_text(daemon):
    service = room(daemon, '--title', 'Our <b>room</b>')
    with Chromium() as b, Member(service['backend']) as other:
        me = enter(b, service)
        other.called('mallory')
        for text in HOSTILE:
            other.say(text)
        other.until('message', text=HOSTILE[-1])
        until(lambda: len(messages(b)) == len(HOSTILE), 'all have come')
        assert messages(b) == [['msg', 'mallory', text] for text in HOSTILE]
        assert 'ran' not in b.title() and 'Our <b>room</b>' in b.text()
        assert b.run('return document.querySelectorAll(".log h1, .log img, .log style").length') == 0
        assert wide(b) == []
        # An override does not reach out of its message: each is isolated.
        assert b.run('''return [...document.querySelectorAll('.msg bdi')].every(e =>
            getComputedStyle(e).unicodeBidi.startsWith('isolate'))''')
        # One's own are told apart, also without seeing colours.
        b.write('#text', 'hello <b>everybody</b>')
        b.press('Enter')
        other.until('message', name=me, text='hello <b>everybody</b>')
        until(lambda: messages(b)[-1] == ['msg own', me, 'hello <b>everybody</b>'], 'it is mine')
        assert 'you' in b.run('''return getComputedStyle(
            document.querySelector('.own b'), '::after').content''')
        assert 'you' in b.run('''return getComputedStyle(
            document.querySelector('#users .me'), '::after').content''')
        assert b.complaints() == []
        assert all(u.startswith((service['url'], service['url'].replace('http', 'ws'), 'data:'))
                   for u in b.requested())


def test_the_page_in_every_light(daemon):
    service = room(daemon, '--title', 'Thursday')
    with Chromium() as b, Member(service['backend']) as other, Plain(service['backend']):
        enter(b, service)
        other.called('brave otter')
        other.say('Does anybody have the minutes of last week? I was on the train and heard half.')
        b.write('#text', 'Yes, I am sending them tonight.')
        b.press('Enter')
        other.until('message', text='Yes, I am sending them tonight.')
        other.say('Thank you!\nAnd the list of those who came, please.')
        other.say('שלום, and ' + 'a_long_word_without_any_space' * 6)
        until(lambda: len(messages(b)) == 4, 'all have come')
        b.write('#name', ' <i>')
        b.press('Enter')
        until(lambda: b.run('return !!document.querySelector(".err")'), 'a name is refused')
        for look in 'light', 'dark', 'phone', 'phone-dark':
            # Whoever sees the end goes on seeing it when the window becomes another one.
            b.look('dark' in look, PHONE if 'phone' in look else DESK)
            check_contrast(b, 'dark' in look)
            assert wide(b) == [], look
            # The field and its button are in sight without scrolling the page, and the last line.
            assert b.run('''return ['#text', '#say button', '#name'].every(s => {
                const r = document.querySelector(s).getBoundingClientRect();
                return r.width > 20 && r.top >= 0 && r.bottom <= innerHeight; })'''), look
            until(lambda: b.run('''const at = s => document.querySelector(s).getBoundingClientRect();
                return at('#log > p:last-child').bottom <= at('#log').bottom'''), look, 5)
            shot(b, look)


def check_named(b, *wanted):
    """Pairs of role and name that a screen reader is told, each once."""
    tree = b.command('Accessibility.getFullAXTree')['nodes']
    named = [(n['role']['value'], n.get('name', {}).get('value'))
             for n in tree if not n['ignored'] and 'role' in n]
    for control in wanted:
        assert named.count(control) == 1, named


def test_the_page_is_made_for_everybody(daemon):
    """Names of controls, landmarks, what is announced; all of it with the keyboard alone."""
    service = room(daemon)
    with Chromium(size=PHONE) as b, Member(service['backend']) as other:
        enter(b, service)
        check_named(b, ('textbox', 'Your name'), ('button', 'Change'), ('log', 'Messages'),
                    ('textbox', 'Message'), ('button', 'Send'), ('region', 'People in the room'))
        assert b.run('return document.querySelector("#log").getAttribute("aria-live")') == 'polite'
        assert b.run('return document.querySelector("#status").getAttribute("role")') == 'status'
        assert b.run('return document.documentElement.lang') == 'en'
        # One begins where one writes, and sees where one is.
        where = 'return document.activeElement.id || document.activeElement.textContent'
        assert b.run(where) == 'text'
        reached = []
        for _ in range(7):
            b.press('Tab')
            reached.append(b.run(where))
            assert b.run('''const s = getComputedStyle(document.activeElement);
                return document.activeElement === document.body ||
                    parseFloat(s.outlineWidth) >= 2 && s.outlineStyle !== 'none' '''), reached
        order = [r for r in reached if r in ('Send', 'name', 'Change', 'log', 'people', 'text')]
        assert order[:6] == ['Send', 'name', 'Change', 'log', 'people', 'text'], reached
        # Enter sends, and the field is ready for the next.
        for text in 'one', 'two':
            b.command('Input.insertText', text=text)
            b.press('Enter')
            other.until('message', text=text)
        assert b.run(where) == 'text'


def test_the_title_counts_what_is_unread(daemon):
    service = room(daemon, '--title', 'Thursday')
    with Chromium() as b, Member(service['backend']) as other:
        enter(b, service)
        other.say('seen')
        until(lambda: len(messages(b)) == 1, 'it has come')
        assert b.title() == 'Thursday'
        show = b.hide()
        until(lambda: b.run('return document.hidden || !document.hasFocus()'), 'it is behind')
        other.say('one')
        other.say('two')
        until(lambda: b.title() == '(2) Thursday', 'they are counted')
        show()
        until(lambda: b.title() == 'Thursday', 'they are seen')


def test_a_lost_connection_is_said_and_comes_back(daemon):
    service = room(daemon)
    with Chromium() as b:
        enter(b, service)
        b.write('#name', '')
        b.run('document.querySelector("#name").value = "night owl"')
        b.press('Enter')
        until(lambda: users(b) == ['night owl'], 'renamed')
        daemon.ctl('stop', 'room', '--now')
        until_said(b, 'The room was closed.')
        until_said(b, 'Not connected. Trying again')
        shot(b, 'lost')
        assert users(b) == []
        b.write('#text', 'is it gone?')
        b.press('Enter')
        until_said(b, 'Not sent')
        assert b.run('return document.querySelector("#text").value') == 'is it gone?'
        assert daemon.json('start', 'room')['url'] == service['url']
        until_said(b, 'You are back')
        until(lambda: users(b) == ['night owl'], 'and called as before')
        assert b.run('return document.querySelector("#status").textContent') == 'Connected'
        # Killed, it says nothing: the connection just ends.
        with Member(daemon.backend('room')):
            daemon.kill()
        until_said(b, 'The connection is lost.')
        daemon.start()
        until(lambda: users(b) == ['night owl'], 'back again')


# --- without script ---

def test_without_script_the_room_is_a_frame(daemon):
    service = room(daemon, '--title', 'Thursday')
    with Firefox(scripts=False, endless=True) as b, Member(service['backend']) as other:
        other.called('mallory')
        me = enter_plain(b, service)
        other.until('joined', name=me)
        for text in HOSTILE:
            other.say(text)
        until(lambda: len(messages(b)) == len(HOSTILE), 'all have come')
        assert messages(b) == [['msg', 'mallory', text] for text in HOSTILE]
        assert b.run('return document.querySelectorAll(".log h1, .log img, .log style").length') == 0
        assert b.run('return [...document.querySelectorAll("[role=log][aria-live]")].length') == 1
        assert wide(b) == []
        # One's own: told apart, and an empty field for the next, a Tab away.
        say_plain(b, 'hello <b>everybody</b>')
        other.until('message', name=me, text='hello <b>everybody</b>')
        until(lambda: messages(b)[-1] == ['msg own', me, 'hello <b>everybody</b>'], 'it is mine')
        assert b.run(f'return document.querySelector("{FORMS} [name=text]").value') == ''
        until(lambda: b.run('return document.activeElement === document.body'),
              'the form that was sent is gone')
        b.press('Tab')
        assert b.run(f'return document.activeElement.matches("{FORMS} [name=text]")')
        # What is refused is told, and stays to be mended.
        b.click(f'{FORMS} summary')
        b.write(f'{FORMS} [name=name]', 'mallory')
        b.press('Enter')
        until(lambda: asked(b, 'return !!document.querySelector(".err")'), 'the name is refused')
        assert b.run(f'return document.querySelector("{FORMS} [name=name]").value') == 'mallory'
        # Both forms are in sight, whole.
        assert b.run(f'''return [...document.querySelectorAll('{FORMS} .bar :is(input, button)')]
            .filter(e => e.type !== 'hidden').every(e =>
                e.getBoundingClientRect().bottom <= innerHeight)''')
        shot(b, 'noscript')


def test_without_script_on_a_phone(daemon):
    """The stream alone, as it is entered without a frame; Chromium looks at pages in its own way."""
    service = room(daemon)
    with Chromium(scripts=False, size=PHONE, endless=True) as b:
        b.open(service['url'] + '/plain/room')
        me = plain_name(b)
        with Member(service['backend']) as other:
            other.called('brave otter')
            other.say('Does anybody have the minutes of last week?')
            say_plain(b, 'Yes, tonight.')
            other.until('message', name=me)
            other.say('w' * 100)
        until_said(b, 'brave otter has left')
        for look in 'light', 'dark':
            b.look(look == 'dark', PHONE)
            check_contrast(b, look == 'dark')
            assert wide(b) == []
            shot(b, f'noscript-phone-{look}')
        # One form is there, the last one.
        b.click(f'{FORMS} summary')
        check_named(b, ('main', ''), ('log', 'Messages'), ('textbox', 'Message'), ('button', 'Send'),
                    ('textbox', 'Your name'), ('button', 'Change'))


def test_without_script_a_lost_connection_is_shown(daemon):
    service = room(daemon)
    seen = '''return getComputedStyle(
        document.querySelector('aside:last-of-type')).visibility === 'visible' '''
    with Firefox(scripts=False, endless=True, size=PHONE, dark=True) as b:
        enter_plain(b, service)
        assert wide(b) == []
        assert not b.run(seen)
        daemon.kill()
        # It appears a while after the last sign of life; we need not wait all that while.
        wait = b.run('''const [a] = document.getAnimations();
            a.currentTime = a.effect.getTiming().delay - 1500;
            return a.effect.getTiming().delay;''')
        assert 45000 <= wait <= 120000
        assert not b.run(seen)
        until(lambda: b.run(seen), 'the loss is shown', 20)
        shot(b, 'noscript-lost')
        assert 'The connection seems to be lost. Enter again' in b.text()
        daemon.start()
        daemon.until_state('room', 'running')
        b.click('aside:last-of-type a')
        until(lambda: 'lost' not in asked(b, 'return document.body.innerText')
              and asked(b, 'return !!document.querySelector("p.sys b")'), 'in again')


# --- through Tor ---

def test_with_and_without_script_through_tor(tornet):
    daemon = Daemon(['--tor', 'managed', '--torrc', tornet.torrc_file]).start()
    try:
        service = room(daemon, '--title', 'Thursday', timeout=300)
        for client in tornet.clients:
            client.auth_add(service['onion'], service['keys'][0]['private_key'])
        with Chromium(socks_port=tornet.clients[0].socks_port) as b, \
                Firefox(socks_port=tornet.clients[1].socks_port, scripts=False,
                        endless=True) as f:
            until(lambda: came(b, service['url'] + '/', '#name'), 'it comes through Tor', 120, step=1)
            alice = until(lambda: b.run('return document.querySelector("#name").value'), 'a name')
            bob = enter_plain(f, service, 120)
            converse(service, b, alice, f, bob)
    finally:
        daemon.end()


def converse(service, b, alice, f, bob):
    until_said(b, f'{bob} has joined')
    assert users(b) == [alice, bob]
    b.write('#text', 'from the script')
    b.press('Enter')
    until(lambda: ['msg', alice, 'from the script'] in messages(f), 'it is heard without', 60)
    say_plain(f, 'from the form')
    until(lambda: ['msg', bob, 'from the form'] in messages(b), 'it is heard with', 60)
    until(lambda: ['msg own', bob, 'from the form'] in messages(f), 'and by oneself', 60)
    # Both change their names, and both see both.
    b.run('document.querySelector("#name").value = ""')
    b.write('#name', 'alice')
    b.press('Enter')
    until_said(f, f'{alice} is now called alice')
    f.click(f'{FORMS} summary')
    f.write(f'{FORMS} [name=name]', 'bob')
    f.press('Enter')
    for each in b, f:
        until_said(each, f'{bob} is now called bob')
    assert users(b) == ['alice', 'bob']
    shot(b, 'onion')
    shot(f, 'onion')
    # Each sees the other go.
    f.frame(None)
    f.open('about:blank')
    until_said(b, 'bob has left')
    again = enter_plain(f, service)
    until_said(b, f'{again} has joined')
    b.open('about:blank')
    until_said(f, 'alice has left')
