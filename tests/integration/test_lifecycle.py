# SPDX-License-Identifier: GPL-3.0-or-later
"""The client's commands on services: what they do and what they print."""
import json
import os
import re
import signal

import pytest

import shapes
from lib.http import fetch
from lib.waiting import until


def test_a_service_is_made_stopped_with_an_address_and_a_key(daemon):
    service = daemon.json('create', 'share', 'docs', daemon.file('a.txt'))
    shapes.is_service(service)
    assert (service['name'], service['mode']) == ('docs', 'share')
    assert (service['state'], service['wanted']) == ('stopped', False)
    assert service['url'] and service['started_at'] is None
    assert [k['label'] for k in service['keys']] == ['default']
    assert service['transfers'] == {'active': 0, 'completed': 0, 'bytes_in': 0, 'bytes_out': 0}
    with pytest.raises(OSError):
        fetch('tcp:' + service['url'].removeprefix('http://'))


def test_address_and_key_never_change(daemon):
    made = daemon.json('create', 'share', 'docs', daemon.file('a.txt'))
    for command in ('start', 'stop', 'start', 'restart', 'show'):
        service = daemon.json(command, 'docs')
        assert (service['url'], service['keys']) == (made['url'], made['keys']), command


def test_start_serves_and_stop_refuses(daemon):
    service = daemon.share('docs', daemon.file('a.txt', b'content'))
    shapes.is_service(service)
    assert (service['state'], service['wanted']) == ('running', True)
    assert shapes.TIME.match(service['started_at'])
    assert service['backend'] == 'tcp:' + service['url'].removeprefix('http://')
    assert fetch(service['backend'], '/download').body == b'content'
    # That download was the one that a share waits for: start it again.
    daemon.until_state('docs', 'stopped')
    daemon.json('start', 'docs')
    stopped = daemon.json('stop', 'docs')
    assert (stopped['state'], stopped['wanted']) == ('stopped', False)
    with pytest.raises(OSError):
        fetch(service['backend'])


def test_starting_and_stopping_twice_is_no_error(daemon):
    daemon.share('docs', daemon.file('a.txt'))
    assert daemon.json('start', 'docs')['state'] == 'running'
    daemon.json('stop', 'docs')
    assert daemon.json('stop', 'docs')['state'] == 'stopped'


def test_several_services_at_once_come_as_an_array(daemon):
    for name in ('one', 'two', 'three'):
        daemon.json('create', 'share', name, daemon.file(name))
    started = daemon.json('start', 'one', 'two')
    assert [s['name'] for s in started] == ['one', 'two']
    assert all(s['state'] == 'running' for s in started)
    assert len({s['url'] for s in started}) == 2
    listed = daemon.json('list')
    assert [s['name'] for s in listed] == ['one', 'three', 'two']
    for service in listed:
        shapes.is_service(service)
    assert daemon.json('ls') == listed
    stopped = daemon.json('stop', 'one', 'two')
    assert [s['state'] for s in stopped] == ['stopped', 'stopped']


def test_an_empty_daemon_lists_an_empty_array(daemon):
    assert daemon.json('list') == []


def test_status_tells_of_the_daemon(daemon):
    daemon.share('docs', daemon.file('a.txt'))
    daemon.json('create', 'share', 'other', daemon.file('b.txt'))
    status = daemon.json('status')
    shapes.is_status(status)
    assert status['local_only'] is True
    assert status['services'] == {'total': 2, 'running': 1, 'failed': 0}
    # No command is status; so is tor status without Tor, exit 0.
    assert daemon.json()['services'] == status['services']
    assert daemon.ctl('tor', 'status').status == 0


def test_rename_keeps_everything_but_the_name(daemon):
    before = daemon.share('docs', daemon.file('a.txt'), options=['--no-autostop-sharing'])
    after = daemon.json('rename', 'docs', 'papers')
    assert after['name'] == 'papers'
    for member in ('url', 'keys', 'options', 'created_at', 'state'):
        assert after[member] == before[member], member
    assert fetch(after['backend'], '/').status == 200
    shapes.is_error(daemon.ctl('--json', 'show', 'docs'), 'NoSuchService', 4, {'name': 'docs'})


def test_who_watches_a_service_goes_with_its_name(daemon):
    daemon.share('docs', daemon.file('a'))
    watch = daemon.ctl_spawn('--json', 'watch', 'docs')
    assert json.loads(watch.stdout.readline())['event'] == 'snapshot'
    daemon.json('rename', 'docs', 'papers')
    daemon.json('stop', 'papers')
    gone = json.loads(watch.stdout.readline())
    assert (gone['name'], gone['state'], gone['new_name']) == ('docs', 'deleted', 'papers')
    states = [json.loads(watch.stdout.readline()) for _ in range(2)]
    assert {e['name'] for e in states} == {'papers'} and states[0]['state'] == 'running'


def test_a_one_off_that_is_renamed_goes_on_until_its_client_ends(daemon):
    share = daemon.ctl_spawn('share', daemon.file('a'))
    service = until(lambda: [s for s in daemon.json('list') if s['state'] == 'running'], 'up')[0]
    daemon.json('rename', service['name'], 'docs')
    fetch(service['backend'], '/')
    assert share.poll() is None and daemon.show('docs')['state'] == 'running'
    share.send_signal(signal.SIGINT)
    assert share.wait(30) == 130
    assert daemon.json('list') == []


def test_renaming_onto_another_is_refused(daemon):
    daemon.json('create', 'share', 'a', daemon.file('a'))
    daemon.json('create', 'share', 'b', daemon.file('b'))
    shapes.is_error(daemon.ctl('--json', 'rename', 'a', 'b'), 'NameInUse', 1, {'name': 'b'})
    assert {s['name'] for s in daemon.json('list')} == {'a', 'b'}


def test_delete_stops_and_forgets(daemon):
    service = daemon.share('docs', daemon.file('a.txt'))
    assert daemon.ctl('delete', 'docs', '--yes').status == 0
    with pytest.raises(OSError):
        fetch(service['backend'])
    assert daemon.json('list') == []
    shapes.is_error(daemon.ctl('--json', 'start', 'docs'), 'NoSuchService', 4)
    # The name is free; the address and key are new ones.
    again = daemon.json('create', 'share', 'docs', daemon.file('a.txt'))
    assert again['keys'] != service['keys']


def test_delete_without_a_terminal_needs_yes(daemon):
    daemon.json('create', 'share', 'docs', daemon.file('a.txt'))
    assert daemon.ctl('delete', 'docs').status == 2
    assert len(daemon.json('list')) == 1


def test_options_are_shown_under_their_names(daemon):
    service = daemon.json('create', 'share', 'docs', daemon.file('a'), '--title', 'Für every ☂',
                          '--public', '--no_autostop_sharing', '--max-downloads', '3',
                          '--log-filenames', '--max-connections=7')
    shapes.is_service(service)
    assert service['title'] == 'Für every ☂'
    assert service['public'] is True and service['keys'] == []
    options = service['options']
    assert options['no_autostop_sharing'] is True
    assert options['max_downloads'] == 3
    assert options['log_filenames'] is True
    assert options['max_connections'] == 7


def test_edit_changes_and_unset_restores(daemon):
    daemon.json('create', 'share', 'docs', daemon.file('a'), '--title', 'One')
    daemon.json('edit', 'docs', '--title', 'Two', '--max-downloads', '5')
    service = daemon.show('docs')
    assert (service['title'], service['options']['max_downloads']) == ('Two', 5)
    daemon.json('edit', 'docs', '--unset', 'title', '--unset', 'max-downloads')
    service = daemon.show('docs')
    assert (service['title'], service['options']['max_downloads']) == (None, None)


def test_a_refused_edit_changes_nothing(daemon):
    daemon.json('create', 'share', 'docs', daemon.file('a'), '--title', 'One')
    before = daemon.show('docs')
    for bad in (['--title', 'Two', '--max-downloads', '0'], ['--title', 'Two', '--frobnicate'],
                ['--title', 'Two', '--unset', 'frobnicate'], ['--title', 'a\nb']):
        assert daemon.ctl('edit', 'docs', *bad).status == 2, bad
    assert daemon.show('docs') == before


def test_edit_of_a_running_service_says_what_needs_a_restart(daemon):
    daemon.share('docs', daemon.file('a'))
    result = daemon.ctl('edit', 'docs', '--title', 'New & <b>bold</b>')
    assert result.status == 0 and 'restart' in (result.out + result.err), result
    daemon.json('restart', 'docs')
    page = daemon.get('docs').body.decode()
    assert 'New &amp; &lt;b&gt;bold&lt;/b&gt;' in page and '<b>bold' not in page


def test_the_chosen_port_is_used_and_kept(daemon):
    port = daemon.json('create', 'share', 'probe', daemon.file('a'))['url'].rsplit(':', 1)[1]
    daemon.json('delete', 'probe', '--yes')
    service = daemon.share('docs', daemon.file('a'), options=['--port', port])
    assert service['url'] == f'http://127.0.0.1:{port}'
    assert service['options']['port'] == int(port)


def test_a_port_in_use_fails_with_a_reason(daemon):
    first = daemon.share('one', daemon.file('a'))
    port = first['url'].rsplit(':', 1)[1]
    result = daemon.ctl('create', 'share', 'two', daemon.file('b'), '--port', port)
    if result.status == 0:
        assert daemon.ctl('start', 'two', '--timeout', '10').status != 0
        assert daemon.show('two')['state'] == 'failed'
        assert port in daemon.show('two')['reason']
    else:
        assert result.status in (1, 2) and 'port' in result.err
    assert fetch(first['backend']).status == 200


def test_human_output_has_results_on_stdout_and_notes_on_stderr(daemon):
    result = daemon.ctl('create', 'share', 'docs', daemon.file('a'))
    service = daemon.show('docs')
    assert result.status == 0
    assert service['url'] in result.out
    assert '\x1b' not in result.out + result.err
    quiet = daemon.ctl('-q', 'create', 'share', 'more', daemon.file('a'))
    assert quiet.status == 0 and quiet.err == ''
    assert 'docs' in daemon.ctl('list').out
    assert 'docs' in daemon.ctl('show', 'docs').out


def test_qr_codes_are_drawn_of_address_and_key(daemon):
    daemon.json('create', 'share', 'docs', daemon.file('a'))
    plain = daemon.ctl('show', 'docs')
    qr = daemon.ctl('show', 'docs', '--qr')
    blocks = re.compile('[\u2580-\u259f ]{20}')
    assert qr.status == 0 and not blocks.search(plain.out)
    assert len(blocks.findall(qr.out)) > 15


@pytest.mark.parametrize('goal', ['running', 'reachable'])
def test_wait_returns_when_it_is_so(daemon, goal):
    daemon.json('create', 'share', 'docs', daemon.file('a'))
    assert daemon.ctl('start', 'docs', '--no-wait').status == 0
    assert daemon.ctl('wait', 'docs', '--for', goal).status == 0
    assert daemon.show('docs')['state'] == 'running'


def test_wait_for_the_end(daemon):
    daemon.share('docs', daemon.file('a', b'data'))
    waiting = daemon.ctl_spawn('wait', 'docs', '--for', 'stopped')
    fetch(daemon.backend('docs'), '/download')
    assert waiting.wait(30) == 0
    assert daemon.ctl('wait', 'docs', '--for', 'stopped').status == 0
    assert daemon.ctl('wait', 'nothere', '--for', 'running').status == 4


def test_wait_gives_up_in_time(daemon):
    daemon.share('docs', daemon.file('a'))
    shapes.is_error(daemon.ctl('--json', '--timeout', '1', 'wait', 'docs', '--for', 'stopped'),
                    'Timeout', 7)


def test_wait_says_what_cannot_come(daemon):
    """A service that nobody started, and one that failed, will not be running."""
    path = daemon.file('a')
    daemon.json('create', 'share', 'docs', path)
    shapes.is_error(daemon.ctl('--json', 'wait', 'docs', '--for', 'running'),
                    'UnreachableState', 3, {'state': 'stopped'})
    os.unlink(path)
    assert daemon.ctl('start', 'docs', '--timeout', '10').status != 0
    failed = daemon.show('docs')
    assert failed['state'] == 'failed' and path in failed['reason']
    assert daemon.ctl('wait', 'docs', '--for', 'running').status == 3


def watch_lines(process, n):
    return [json.loads(process.stdout.readline()) for _ in range(n)]


def test_watch_begins_with_a_snapshot_and_tells_of_each_state(daemon):
    daemon.json('create', 'share', 'docs', daemon.file('a', b'x' * 5000))
    watch = daemon.ctl_spawn('--json', 'watch')
    snapshot, = watch_lines(watch, 1)
    assert snapshot['event'] == 'snapshot'
    assert [s['name'] for s in snapshot['services']] == ['docs']
    shapes.is_service(snapshot['services'][0])
    shapes.members(snapshot['tor'], shapes.TOR)
    backend = daemon.json('start', 'docs')['backend']
    states = []
    while 'running' not in states:
        event, = watch_lines(watch, 1)
        assert set(event) >= {'event', 'name', 'state', 'reason'}
        assert (event['event'], event['name']) == ('state', 'docs')
        states.append(event['state'])
    fetch(backend, '/download')
    seen = []
    while not seen or seen[-1].get('state') != 'stopped':
        seen += watch_lines(watch, 1)
    transfers = [e for e in seen if e['event'] == 'transfer']
    assert {e['id'] for e in transfers} == {transfers[0]['id']}
    assert transfers[0]['phase'] == 'started' and transfers[-1]['phase'] == 'completed'
    assert transfers[-1]['direction'] == 'out' and transfers[-1]['name'] == 'docs'
    assert transfers[-1]['bytes'] == transfers[-1]['total'] == 5000
    assert seen[-1]['reason'] == 'completed'
    watch.send_signal(signal.SIGINT)
    assert watch.wait(10) == 130


def test_watch_of_some_tells_of_those_only(daemon):
    for name in ('one', 'two'):
        daemon.json('create', 'share', name, daemon.file(name))
    watch = daemon.ctl_spawn('--json', 'watch', 'two')
    snapshot, = watch_lines(watch, 1)
    assert [s['name'] for s in snapshot['services']] == ['two']
    daemon.json('start', 'one')
    daemon.json('start', 'two')
    assert watch_lines(watch, 1)[0]['name'] == 'two'
    watch.terminate()
    watch.wait(10)


def test_history_remembers_downloads(daemon):
    service = daemon.share('docs', daemon.file('a', b'x' * 1000))
    fetch(service['backend'], '/download')
    daemon.until_state('docs', 'stopped')

    def entries():
        found = daemon.json('history', 'docs')
        return found if any('complet' in json.dumps(e) for e in found) else None
    found = until(entries, 'the download is in the history')
    assert all(e['name'] == 'docs' for e in found)
    # A path only where it was asked for.
    assert '/download' not in json.dumps(found)


def test_a_download_is_counted(daemon):
    service = daemon.share('docs', daemon.file('a', b'x' * 1000),
                           options=['--no-autostop-sharing'])
    for _ in range(2):
        fetch(service['backend'], '/download')
    counted = until(lambda: (t := daemon.show('docs')['transfers'])['completed'] == 2 and t,
                    'both downloads are counted')
    assert counted['active'] == 0
    assert counted['bytes_out'] >= 2000


# --- one-off ---

def test_a_one_off_lives_with_its_client(daemon):
    share = daemon.ctl_spawn('--json', 'share', daemon.file('a', b'one-off'))
    service = until(lambda: next((s for s in daemon.json('list') if s['state'] == 'running'), None),
                    'the one-off runs')
    assert service['name'].startswith('share-') and len(service['name']) == len('share-') + 6
    assert fetch(service['backend'], '/').status == 200
    share.send_signal(signal.SIGINT)
    assert share.wait(30) == 130
    until(lambda: daemon.json('list') == [], 'the one-off is gone')


def test_a_one_off_dies_with_a_killed_client(daemon):
    share = daemon.ctl_spawn('share', daemon.file('a'))
    until(lambda: [s for s in daemon.json('list') if s['state'] == 'running'], 'it runs')
    share.kill()
    share.wait()
    until(lambda: daemon.json('list') == [], 'the one-off is gone')


def test_a_one_off_ends_when_its_download_is_complete(daemon):
    share = daemon.ctl_spawn('share', daemon.file('a', b'all of it'))
    service = until(lambda: next((s for s in daemon.json('list') if s['state'] == 'running'), None),
                    'the one-off runs')
    assert fetch(service['backend'], '/download').body == b'all of it'
    out, err = share.communicate(timeout=30)
    assert share.returncode == 0
    assert service['url'] in out.decode() and b'complete' in err
    until(lambda: daemon.json('list') == [], 'the one-off is gone')


def test_a_one_off_is_not_there_after_a_crash(daemon):
    daemon.ctl_spawn('share', daemon.file('a'))
    until(lambda: [s for s in daemon.json('list') if s['state'] == 'running'], 'it runs')
    daemon.kill()
    daemon.start()
    assert daemon.json('list') == []


def test_a_saved_one_off_stays(daemon):
    share = daemon.ctl_spawn('share', daemon.file('a'), '--save', 'kept', '--no-autostop-sharing')
    service = until(lambda: next((s for s in daemon.json('list') if s['state'] == 'running'), None),
                    'it runs')
    assert service['name'] == 'kept'
    share.send_signal(signal.SIGINT)
    share.wait(30)
    assert daemon.show('kept')['url'] == service['url']


def test_detach_returns_and_leaves_it_running(daemon):
    result = daemon.ctl('--json', 'share', daemon.file('a'), '--detach')
    assert result.status == 0, result
    service, = daemon.json('list')
    assert service['state'] == 'running'
    assert fetch(service['backend'], '/').status == 200
