# SPDX-License-Identifier: GPL-3.0-or-later
"""The inbox of a receive service: list, show, save, delete, keep_days, what watchers and the
history are told; encrypted submissions, also hostile ones."""
import datetime
import io
import json
import os
import shutil
import stat
import subprocess
import zipfile

import pytest

from lib.http import Connection
from lib.waiting import until

BOUNDARY = '----onionshare-inbox'
needs_age = pytest.mark.skipif(not shutil.which('age'), reason='age is not installed')


def submit(address, files=(), text=None):
    body = b''
    for name, data in files:
        body += (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file[]"; '
                 f'filename="{name}"\r\n\r\n').encode() + data + b'\r\n'
    if text is not None:
        body += (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="text"\r\n\r\n'
                 .encode() + text.encode() + b'\r\n')
    body += f'--{BOUNDARY}--\r\n'.encode()
    with Connection(address, timeout=60) as c:
        answer = c.request('POST', '/upload-ajax', {
            'Content-Type': f'multipart/form-data; boundary={BOUNDARY}'}, body)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


@pytest.fixture
def box(daemon):
    daemon.json('create', 'receive', 'box', '--min-free', '0')
    daemon.json('start', 'box')
    return daemon.backend('box')


def data_dir(daemon):
    return daemon.show('box')['options']['data_dir']


def listed(daemon):
    return daemon.json('inbox', 'list', 'box')


def save(daemon, sub, name='out', *options):
    where = os.path.join(daemon.dir, name)
    return daemon.ctl('inbox', 'save', 'box', str(sub['id']), where, *options), where


def contents(directory):
    return {n: open(os.path.join(directory, n), 'rb').read() for n in os.listdir(directory)}


def test_an_empty_inbox(daemon, box):
    assert listed(daemon) == []
    human = daemon.ctl('inbox', 'list', 'box')
    assert human.status == 0 and 'Nothing' in human.err


def test_files_and_message_are_listed_shown_saved_and_deleted(daemon, box):
    submit(box, [('a.txt', b'alpha'), ('b.bin', bytes(range(256)) * 5000)], 'hello\n\nworld')
    sub, = listed(daemon)
    assert sub['files'] == [{'name': 'a.txt', 'size': 5}, {'name': 'b.bin', 'size': 1280000}]
    assert sub['message'] is True and sub['encrypted'] is False
    assert sub['path'].startswith(data_dir(daemon))
    assert contents(sub['path'])['a.txt'] == b'alpha'
    at = datetime.datetime.fromisoformat(sub['received_at'].replace('Z', '+00:00'))
    assert abs(datetime.datetime.now(datetime.timezone.utc) - at).total_seconds() < 120
    assert int(at.timestamp()) == sub['id'] // 1000000

    shown = daemon.json('inbox', 'show', 'box', str(sub['id']))
    assert shown.pop('text') == 'hello\n\nworld'
    assert shown == sub
    human = daemon.ctl('inbox', 'show', 'box', str(sub['id']))
    assert 'a.txt' in human.out and 'hello\n\nworld\n' in human.out

    result, where = save(daemon, sub)
    assert result.status == 0, result
    assert contents(where) == {'a.txt': b'alpha', 'b.bin': bytes(range(256)) * 5000,
                               'message.txt': b'hello\n\nworld'}
    for name in os.listdir(where):
        assert stat.S_IMODE(os.stat(os.path.join(where, name)).st_mode) == 0o600

    assert daemon.json('inbox', 'delete', 'box', str(sub['id'])) == {
        'name': 'box', 'id': sub['id'], 'deleted': True}
    assert listed(daemon) == []
    assert not os.path.exists(sub['path'])
    again = daemon.ctl('inbox', 'delete', 'box', str(sub['id']))
    assert again.status == 1 and 'no submission' in again.err
    # It was copied, and so is still there.
    assert len(contents(where)) == 3


def test_saving_overwrites_nothing(daemon, box):
    submit(box, [('a.txt', b'theirs'), ('b.txt', b'theirs')])
    sub, = listed(daemon)
    where = os.path.join(daemon.dir, 'out')
    os.mkdir(where)
    with open(os.path.join(where, 'b.txt'), 'wb') as f:
        f.write(b'mine')
    result, _ = save(daemon, sub)
    assert result.status == 1 and 'overwritten' in result.err
    assert contents(where) == {'b.txt': b'mine'}
    os.rename(os.path.join(where, 'b.txt'), os.path.join(daemon.dir, 'elsewhere'))
    os.symlink(os.path.join(daemon.dir, 'target'), os.path.join(where, 'b.txt'))
    result, _ = save(daemon, sub)
    assert result.status == 1
    assert not os.path.exists(os.path.join(daemon.dir, 'target'))
    assert os.listdir(where) == ['b.txt']


def test_visitors_text_cannot_move_the_terminal(daemon, box):
    submit(box, [('x.txt', b'1')], 'a\x1b[2Jb\u202ec\x07')
    sub, = listed(daemon)
    odd = os.path.join(sub['path'], 'evil\x1b]0;x\x07\n.txt')
    with open(odd, 'wb') as f:
        f.write(b'2')
    for command in (('inbox', 'list', 'box'), ('inbox', 'show', 'box', str(sub['id']))):
        result = daemon.ctl(*command)
        assert result.status == 0
        assert not set('\x1b\x07\u202e') & set(result.out + result.err), result
        assert 'evil\\x1B' in result.out or 'evil\\x1b' in result.out, result
    # As JSON they are what they are.
    assert daemon.json('inbox', 'show', 'box', str(sub['id']))['text'] == 'a\x1b[2Jb\u202ec\x07'
    result, where = save(daemon, sub)
    assert sorted(contents(where)) == ['evil_]0;x__.txt', 'message.txt', 'x.txt']


def test_a_long_message_is_shown_whole(daemon, box):
    text = 'ä,"' * 160000
    submit(box, text=text)
    sub, = listed(daemon)
    assert sub['files'] == [] and sub['path'].endswith('-message.txt')
    assert daemon.json('inbox', 'show', 'box', str(sub['id']))['text'] == text


def test_many_files_are_saved_in_several_answers(daemon, box):
    files = [(f'{i:03}.txt', b'%d' % i) for i in range(100)]
    submit(box, files, 'last')
    sub, = listed(daemon)
    assert [f['name'] for f in sub['files']] == [n for n, _ in files]
    result, where = save(daemon, sub)
    assert result.status == 0
    assert contents(where) == {**dict(files), 'message.txt': b'last'}


def test_more_submissions_than_one_answer_holds(daemon, box):
    day = os.path.join(data_dir(daemon), '2020-01-02')
    os.makedirs(day)
    for i in range(1234):
        with open(os.path.join(day, f'010203{i:06}-message.txt'), 'w') as f:
            f.write(str(i))
    ids = [s['id'] for s in listed(daemon)]
    assert len(ids) == 1234 and ids == sorted(set(ids))
    assert len(daemon.ctl('inbox', 'list', 'box').out.splitlines()) == 1235


def test_what_is_no_submission_is_refused(daemon, box):
    daemon.share('shared', daemon.file('x'))
    submit(box, text='one')
    sub, = listed(daemon)
    for words, status in ((('list', 'nobody'), 4), (('show', 'box', '1'), 1),
                          (('show', 'box', '../../etc'), 2), (('delete', 'box', '-1'), 2),
                          (('list', 'shared'), 1), (('delete', 'shared', str(sub['id'])), 1),
                          (('save', 'box', '7', os.path.join(daemon.dir, 'none')), 1)):
        result = daemon.ctl('inbox', *words)
        assert result.status == status, result
    assert not os.path.exists(os.path.join(daemon.dir, 'none'))
    assert len(listed(daemon)) == 1


@pytest.mark.parametrize('step', [1, 2])
def test_a_deletion_that_is_killed_is_all_or_nothing(make_daemon, step):
    if not shutil.which('strace'):
        pytest.skip('strace is not installed')
    daemon = make_daemon().start()
    daemon.json('create', 'receive', 'box', '--min-free', '0')
    daemon.json('start', 'box')
    submit(daemon.backend('box'), [('a.txt', b'alpha')], 'hello')
    sub, = listed(daemon)
    daemon.stop()
    daemon.wrapper = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=renameat2',
                      '-e', f'inject=renameat2:signal=KILL:when={step}']
    daemon.start()
    daemon.until_state('box', 'running')
    assert daemon.ctl('inbox', 'delete', 'box', str(sub['id'])).status != 0
    daemon.process.wait(30)
    daemon.wrapper, daemon.process = [], None
    daemon.start()
    daemon.until_state('box', 'running')
    assert listed(daemon) in ([], [sub])
    # Whatever was begun is over.
    run, = os.listdir(os.path.join(data_dir(daemon), '.incoming'))
    assert os.listdir(os.path.join(data_dir(daemon), '.incoming', run)) == []


def test_links_in_the_data_directory_lead_nowhere(daemon, box):
    outside = os.path.join(daemon.dir, 'outside')
    os.makedirs(os.path.join(outside, '010203000000'))
    precious = os.path.join(outside, '010203000000', 'precious')
    with open(precious, 'w') as f:
        f.write('mine')
    os.symlink(outside, os.path.join(data_dir(daemon), '2020-01-02'))
    os.makedirs(os.path.join(data_dir(daemon), '2020-01-03'))
    os.symlink(precious, os.path.join(data_dir(daemon), '2020-01-03', '010203000000-message.txt'))
    os.symlink(outside, os.path.join(data_dir(daemon), '2020-01-03', '010203000001'))
    assert listed(daemon) == []
    for number in (1577926923000000, 1578013323000000, 1578013323000001):
        assert daemon.ctl('inbox', 'delete', 'box', str(number)).status == 1
    assert os.path.exists(precious)


def test_a_stopped_service_has_its_inbox(daemon, box):
    submit(box, [('a', b'1')])
    before = listed(daemon)
    daemon.json('stop', 'box')
    assert listed(daemon) == before
    daemon.restart()
    assert listed(daemon) == before
    daemon.json('inbox', 'delete', 'box', str(before[0]['id']))
    assert listed(daemon) == []
    assert not os.path.exists(os.path.join(data_dir(daemon), '.incoming'))


def test_watchers_and_the_history_are_told(daemon, box):
    watch = daemon.ctl_spawn('--json', 'watch', 'box')
    try:
        assert json.loads(watch.stdout.readline())['event'] == 'snapshot'
        submit(box, [('a', b'1'), ('b', b'2')], 'text')
        sub, = listed(daemon)
        event = {}
        seen = []
        while event.get('event') != 'submission':
            event = json.loads(watch.stdout.readline())
            seen.append(event)
        assert {k: v for k, v in event.items() if v is not None} == {
            'event': 'submission', 'name': 'box', 'id': sub['id'], 'files': 2, 'message': True}
        assert {e['direction'] for e in seen if e['event'] == 'transfer'} == {'in'}
    finally:
        watch.terminate()
        watch.communicate()

    daemon.json('inbox', 'delete', 'box', str(sub['id']))

    def entries():
        return {e['event']: e for e in daemon.json('history', 'box')}
    until(lambda: 'submission-deleted' in entries(), 'the history says it')
    entry = entries()['submission']
    assert (entry['submission'], entry['files'], entry['message']) == (sub['id'], 2, True)
    assert entries()['submission-deleted']['submission'] == sub['id']


def test_old_submissions_are_deleted(daemon, box):
    submit(box, text='new')
    old = os.path.join(data_dir(daemon), '2020-01-02')
    os.makedirs(os.path.join(old, '010203000000'))
    with open(os.path.join(old, '010203000001-message.txt'), 'w') as f:
        f.write('old')
    assert len(listed(daemon)) == 3
    daemon.json('edit', 'box', '--keep-days', '30')
    until(lambda: len(listed(daemon)) == 1, 'what is old is deleted')
    assert not os.path.exists(old)

    def entries():
        return {e['event']: e for e in daemon.json('history', 'box')}
    until(lambda: 'submissions-expired' in entries(), 'the history says it')
    assert entries()['submissions-expired']['submissions'] == 2


# --- encrypted ---

def identity(daemon, name):
    path = os.path.join(daemon.dir, name)
    done = subprocess.run(['age-keygen', '-o', path], capture_output=True, text=True, check=True)
    return path, done.stderr.split()[-1]


def put_sealed(daemon, recipient, plain, stamp='010203000000'):
    day = os.path.join(data_dir(daemon), '2020-01-02')
    os.makedirs(day, exist_ok=True)
    path = os.path.join(day, f'{stamp}.zip.age')
    subprocess.run(['age', '-r', recipient, '-o', path], input=plain, check=True)
    return path


def zipped(*entries):
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w') as z:
        for name, data in entries:
            z.writestr(name, data)
    return out.getvalue()


@needs_age
def test_what_is_encrypted_is_opened_by_the_client(daemon, box):
    path, recipient = identity(daemon, 'own')
    put_sealed(daemon, recipient, zipped(('a.txt', b'alpha'), ('имя.txt', b'beta'),
                                         ('message.txt', b'hello'), ('.padding', bytes(500))))
    sub, = listed(daemon)
    assert sub['encrypted'] is True and sub['message'] is False
    assert [f['name'] for f in sub['files']] == ['010203000000.zip.age']
    assert daemon.json('inbox', 'show', 'box', str(sub['id']))['text'] is None
    result, where = save(daemon, sub, 'out', '--identity', path)
    assert result.status == 0, result
    assert contents(where) == {'a.txt': b'alpha', 'имя.txt': b'beta', 'message.txt': b'hello'}
    # Without an identity it is copied as it is.
    result, where = save(daemon, sub, 'sealed')
    assert result.status == 0 and '--identity' in result.err
    with open(sub['path'], 'rb') as f:
        assert contents(where) == {'010203000000.zip.age': f.read()}


@needs_age
def test_another_identity_and_damage_leave_nothing(daemon, box):
    path, recipient = identity(daemon, 'own')
    other, _ = identity(daemon, 'other')
    sealed = put_sealed(daemon, recipient, zipped(('a.txt', b'alpha' * 30000)))
    sub, = listed(daemon)
    result, where = save(daemon, sub, 'out', '--identity', other)
    assert result.status == 1 and 'encrypted to others' in result.err
    assert not os.path.exists(where)
    # Both: one of them fits.
    result, both = save(daemon, sub, 'both', '--identity', other, '--identity', path)
    assert result.status == 0 and list(contents(both)) == ['a.txt']
    result, where = save(daemon, sub, 'out', '--identity', daemon.file('no-identity'))
    assert result.status == 1 and 'AGE-SECRET-KEY-1' in result.err
    assert not os.path.exists(where)
    with open(sealed, 'r+b') as f:
        f.truncate(os.path.getsize(sealed) - 20)
    result, where = save(daemon, sub, 'out', '--identity', path)
    assert result.status == 1 and 'damaged' in result.err
    assert not os.path.exists(where)


@needs_age
def test_a_hostile_archive_stays_in_its_directory(daemon, box):
    path, recipient = identity(daemon, 'own')
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w') as z:
        link = zipfile.ZipInfo('link')
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        z.writestr(link, '/etc')
        z.writestr('link/passwd', b'1')
        z.writestr('../escaped', b'2')
        z.writestr('/absolute', b'3')
        z.writestr('.bashrc', b'4')
        z.writestr('-rf', b'5')
        program = zipfile.ZipInfo('program')
        program.create_system, program.external_attr = 3, (stat.S_IFREG | 0o6777) << 16
        z.writestr(program, b'6')
    put_sealed(daemon, recipient, out.getvalue())
    sub, = listed(daemon)
    result, where = save(daemon, sub, 'out', '--identity', path)
    assert result.status == 0, result
    assert contents(where) == {'passwd': b'1', 'escaped': b'2', 'absolute': b'3', 'bashrc': b'4',
                               'rf': b'5', 'program': b'6'}
    assert stat.S_IMODE(os.stat(os.path.join(where, 'program')).st_mode) == 0o600
    assert not os.path.exists(os.path.join(daemon.dir, 'escaped'))


@needs_age
def test_bombs_and_nonsense_are_refused(daemon, box):
    path, recipient = identity(daemon, 'own')
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED) as z:
        z.writestr('bomb', bytes(50 << 20))
    put_sealed(daemon, recipient, out.getvalue(), '010203000000')
    put_sealed(daemon, recipient, b'no archive', '010203000001')
    for sub in listed(daemon):
        result, where = save(daemon, sub, 'out', '--identity', path)
        assert result.status == 1 and 'nothing was saved' in result.err, result
        assert not os.path.exists(where)


@pytest.mark.parametrize('purge', [False, True])
def test_received_files_outlive_their_service_unless_purged(daemon, box, purge):
    submit(box, [('a.txt', b'kept')], 'words')
    where = data_dir(daemon)
    assert daemon.ctl('delete', 'box', '--yes', *(['--purge'] if purge else [])).status == 0
    assert os.path.exists(where) != purge
    assert os.path.isdir(os.path.dirname(where))
