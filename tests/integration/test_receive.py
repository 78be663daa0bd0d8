# SPDX-License-Identifier: GPL-3.0-or-later
"""Receive mode over HTTP: what is accepted, and what is on the disk."""
import os
import re
import shutil
import stat
import threading

import pytest

from lib.dropbox import BOUNDARY, ajax, dropbox, form, post, submissions
from lib.http import Connection, fetch
from lib.waiting import until


def all_entries(root):
    return [os.path.join(folder, name)
            for folder, folders, names in os.walk(root) for name in folders + names]


# --- what visitors send ---

def test_files_and_a_message_arrive(daemon):
    service = dropbox(daemon)
    root = service['options']['data_dir']
    assert root == os.path.join(daemon.state, 'receive', 'box')
    data = os.urandom(3_000_000)
    status, said = ajax(service['backend'], ('file[]', 'a.bin', data), ('text', None, b'hello'),
                        ('file[]', 'ü ☂.txt', b''), ('file[]', 'a.bin', b'2'))
    assert status == 200
    assert said == {'info_flashes': ['Message submitted, uploaded a.bin, ü ☂.txt, a-1.bin']}
    assert submissions(root) == [({'a.bin': data, 'ü ☂.txt': b'', 'a-1.bin': b'2'}, b'hello')]
    for path in all_entries(root):
        st = os.lstat(path)
        assert stat.S_IMODE(st.st_mode) == (0o700 if stat.S_ISDIR(st.st_mode) else 0o600), path
        assert not stat.S_ISREG(st.st_mode) or st.st_mtime % 86400 == 0, path
    transfers = until(lambda: (t := daemon.show('box')['transfers'])['completed'] == 1 and t,
                      'the upload is counted')
    assert transfers['bytes_in'] > 3_000_000 and transfers['active'] == 0


def test_a_form_without_script_is_answered_on_the_next_page(daemon):
    service = dropbox(daemon, 'box', '--title', 'Tips & hints')
    page = fetch(service['backend'])
    assert page.status == 200 and b'<h1><bdi>Tips &amp; hints</bdi></h1>' in page.body
    # Nothing inline, nothing from elsewhere; and nothing depends on it.
    assert re.findall(b'<script[^>]*>.*?<', page.body) == [
        b'<script src="/static_onionshare_7qk2v4m3xz5t6wbn/send.js" defer><',
        b'<script src="/static_onionshare_7qk2v4m3xz5t6wbn/photos.js" defer><']
    assert b'http' not in page.body.replace(b'http-equiv', b'')
    answer = post(service['backend'], form(('text', None, b'hi')), '/upload')
    assert answer.status == 303 and not answer.all('set-cookie')
    assert b'Message submitted' in fetch(service['backend'], answer['location']).body
    assert b'Message submitted' not in fetch(service['backend'], answer['location']).body


@pytest.mark.parametrize('name', [
    '../../../x', '/etc/passwd', 'C:\\x.exe', '.bashrc', '-rf', '..', '\x1b]0;x\x07.txt',
    '‮txt.exe', 'n' * 300 + '.tar.gz', 'Ærø.txt', '日本語.txt', 'a%0D%0Ab.txt'])
def test_no_name_is_refused_or_leads_elsewhere(daemon, name):
    service = dropbox(daemon)
    root = service['options']['data_dir']
    before = set(all_entries(daemon.dir))
    status, said = ajax(service['backend'], ('file[]', name, b'content'))
    assert status == 200, said
    [(files, message)] = submissions(root)
    [(kept, data)] = files.items()
    assert data == b'content' and message is None
    assert kept[0] not in '.-' and len(os.fsencode(kept)) <= 255
    assert not re.search('[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069/\\\\]', kept)
    assert os.path.splitext(name)[1] in ('', os.path.splitext(kept)[1]) or name == '.bashrc'
    new = {p for p in set(all_entries(daemon.dir)) - before if not p.startswith(root)}
    assert not new


def test_what_is_disabled_leaves_no_trace(daemon):
    service = dropbox(daemon, 'text', '--disable-files')
    root = service['options']['data_dir']
    before = sorted(all_entries(root))
    assert ajax(service['backend'], ('text', None, b'hi'), ('file[]', 'a', b'x')) == (
        403, {'error_flashes': ['File uploads are not allowed']})
    assert ajax(service['backend'], ('file[]', 'a', b'x' * 1_000_000))[0] == 403
    until(lambda: sorted(all_entries(root)) == before, 'nothing is left')
    service = dropbox(daemon, 'files', '--disable-text')
    assert ajax(service['backend'], ('text', None, b'hi'))[0] == 403


def test_limits_hold_to_the_byte(daemon):
    service = dropbox(daemon, 'box', '--max-submission', '1M', '--quota', '1500K')
    root = service['options']['data_dir']
    assert ajax(service['backend'], ('file[]', 'a', b'x' * (1 << 20) + b'+'))[0] == 413
    assert ajax(service['backend'], ('file[]', 'a', b'x' * (1 << 20)))[0] == 200
    rest = 1500 * 1024 - (1 << 20)
    assert ajax(service['backend'], ('file[]', 'a', b'x' * rest + b'+'))[0] == 507
    assert ajax(service['backend'], ('file[]', 'a', b'x' * rest))[0] == 200
    answer = post(service['backend'], form(('text', None, b'!')), '/upload')
    assert answer.status == 507 and b'There is no room' in answer.body
    # Room made by hand is found without a restart.
    for day in os.listdir(root):
        if not day.startswith('.'):
            shutil.rmtree(os.path.join(root, day))
    until(lambda: ajax(service['backend'], ('file[]', 'a', b'x' * 1000))[0] == 200, 'room again')


def test_visitors_at_once_cannot_go_over_the_quota(daemon):
    service = dropbox(daemon, 'box', '--quota', '1M')
    root = service['options']['data_dir']
    said = []

    def visit():
        for _ in range(8):
            said.append(ajax(service['backend'], ('file[]', 'a', b'x' * 100_000))[0])
    visitors = [threading.Thread(target=visit) for _ in range(6)]
    for v in visitors:
        v.start()
    for v in visitors:
        v.join()
    assert len(said) == 48 and set(said) == {200, 507}
    assert len(submissions(root)) == said.count(200) <= 10
    # Those that were on their way together may have kept each other out, but nothing for good.
    until(lambda: ajax(service['backend'], ('file[]', 'a', b'x' * 100_000))[0] == 507
          and len(submissions(root)) == 10, 'it is used up to the end')


def test_what_is_purged_while_visitors_send_is_gone(daemon):
    service = dropbox(daemon)
    root = service['options']['data_dir']
    assert ajax(service['backend'], ('file[]', 'a', b'kept'))[0] == 200
    body = form(('file[]', 'a', os.urandom(500_000)))
    with Connection(service['backend']) as c:
        c.send(f'POST /upload HTTP/1.1\r\nHost: {c.host}\r\nContent-Length: {len(body)}\r\n'
               f'Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n'
               .encode() + body[:400_000])
        until(lambda: any(os.path.isfile(p) and os.path.getsize(p) > 300_000
                          for p in all_entries(root)), 'the upload is staged')
        daemon.json('stop', '--now', 'box')
        assert c.sock.recv(1) == b''
        assert submissions(root) == [({'a': b'kept'}, None)]
        daemon.json('delete', 'box', '--purge', '--yes')
    assert not os.path.exists(root)


def test_what_another_dropbox_receives_is_not_purged(daemon):
    root = os.path.join(daemon.dir, 'both')
    mine = dropbox(daemon, 'mine', '--data-dir', root)
    dropbox(daemon, 'yours', '--data-dir', root)
    dropbox(daemon, 'around', '--data-dir', daemon.dir + '/')
    assert ajax(mine['backend'], ('file[]', 'a', b'kept'))[0] == 200
    for name in ('yours', 'around'):
        refused = daemon.ctl('delete', name, '--purge', '--yes')
        assert refused.status == 1 and 'also holds what mine receives' in refused.err, refused
        assert daemon.show(name)['state'] == 'running'
        daemon.json('delete', name, '--yes')
    assert submissions(root) == [({'a': b'kept'}, None)]
    daemon.json('delete', 'mine', '--purge', '--yes')
    assert not os.path.exists(root)


def test_cut_uploads_leave_nothing(daemon):
    service = dropbox(daemon)
    root = service['options']['data_dir']
    body = form(('file[]', 'a', os.urandom(500_000)))
    idle = sorted(all_entries(root))
    for n in (0, 1, len(body) // 2, len(body) - 1):
        with Connection(service['backend']) as c:
            c.send(f'POST /upload HTTP/1.1\r\nHost: {c.host}\r\nContent-Length: {len(body)}\r\n'
                   f'Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n'
                   .encode() + body[:n])
    until(lambda: daemon.show('box')['transfers']['active'] == 0
          and sorted(all_entries(root)) == idle, 'nothing is left')


def test_watchers_hear_of_a_submission(daemon):
    service = dropbox(daemon)
    with daemon.varlink() as v:
        v.send('Watch', more=True)
        assert v.receive()['parameters']['event'] == 'snapshot'
        assert ajax(service['backend'], ('file[]', 'a', b'x'), ('text', None, b'hi'))[0] == 200
        event = {'event': None}
        while event['event'] != 'submission':
            event = v.receive()['parameters']
    assert (event['name'], event['files'], event['message']) == ('box', 1, True)


# --- what people set ---

def test_bad_options_are_refused_before_anything_is_made(daemon):
    for options in (['--disable-text', '--disable-files'], ['--quota', '0'],
                    ['--max-submission', '1X'], ['--data-dir', ''], ['--min-free', '-1']):
        result = daemon.ctl('create', 'receive', 'box', *options)
        assert result.status == 2 and result.err.count('\n') == 1, result
    assert daemon.json('list') == []
    dropbox(daemon, 'box', '--disable-text')
    assert daemon.ctl('edit', 'box', '--disable-files').status == 2
    assert daemon.ctl('edit', 'box', '--data-dir', '/elsewhere').status == 2


def test_what_an_earlier_dropbox_received_is_not_mixed_up(daemon):
    service = dropbox(daemon)
    assert ajax(service['backend'], ('text', None, b'old'))[0] == 200
    daemon.json('delete', 'box', '--yes')
    assert submissions(service['options']['data_dir']) == [({}, b'old')]
    result = daemon.ctl('create', 'receive', 'box')
    assert result.status == 2 and '--adopt' in result.err
    again = daemon.json('create', 'receive', 'box', '--adopt')
    assert again['options']['data_dir'] == service['options']['data_dir']
    assert [s['message'] for s in daemon.json('inbox', 'list', 'box')] == [True]
    # Or by its path, under another name.
    again = daemon.json('create', 'receive', 'other', '--data-dir', service['options']['data_dir'])
    assert len(daemon.json('inbox', 'list', 'other')) == 1
    # There need not be anything.
    assert daemon.json('create', 'receive', 'new', '--adopt')['name'] == 'new'


def test_a_secret_that_cannot_be_used_is_refused(daemon):
    good = daemon.file('secret', b'hunter2\n')
    for path, why in ((daemon.file('empty', b''), 'secret'), (daemon.dir, 'secret'),
                      (os.path.join(daemon.dir, 'none'), 'No such file'),
                      (daemon.file('lines', b'one\ntwo\n'), 'one line')):
        result = daemon.ctl('create', 'receive', 'box', '--webhook-url', 'http://127.0.0.1:9/',
                            '--webhook-secret-file', path)
        assert result.status == 2 and why in result.err, result
    assert daemon.json('list') == []
    daemon.json('create', 'receive', 'box', '--webhook-secret-file', good)


def test_a_data_directory_may_be_named_from_where_one_is(daemon):
    service = daemon.json('create', 'receive', 'box', '--data-dir', 'in/box', cwd=daemon.content)
    assert service['options']['data_dir'] == os.path.join(daemon.content, 'in/box')
