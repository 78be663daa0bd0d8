# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's Chromium and Firefox, driven by what they bring along.

Chromium speaks its DevTools protocol over two pipes (messages end in NUL),
Firefox speaks Marionette over a loopback port of its choice (messages begin with
their length). Nothing else is needed, and the two look the same from outside.
"""
import base64
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from lib.waiting import until

START = 60
LOAD = 90


class BrowserError(Exception):
    pass


class Browser:
    """with Chromium(socks_port=…, dark=…, size=(w, h)) as b: b.open(url) …

    endless: pages never finish loading, so nothing waits for that.
    """

    name = binary = ''

    def __init__(self, socks_port=None, dark=False, size=(1000, 800), scripts=True, endless=False):
        self.socks_port, self.dark, self.size, self.scripts = socks_port, dark, size, scripts
        self.endless = endless
        self.dir = tempfile.mkdtemp(prefix='os-browser-')
        self.downloads = os.path.join(self.dir, 'downloads')
        os.mkdir(self.downloads)
        self.process = None
        self.ids = itertools.count(1)

    def __enter__(self):
        try:
            self.launch()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def spawn(self, argv, **kwargs):
        with open(os.path.join(self.dir, 'log'), 'wb') as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                # In the C locale Chromium opens no file whose name is not ASCII.
                env={**os.environ, 'LC_ALL': 'C.UTF-8', 'HOME': self.dir,
                     'XDG_RUNTIME_DIR': self.dir,
                     'MOZ_CRASHREPORTER_DISABLE': '1'}, **kwargs)

    def close(self):
        if self.process is not None:
            # Both are families of processes, in a group of their own.
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def downloaded(self, seconds=LOAD):
        """The one file that was downloaded, when it is complete."""
        def complete():
            names = os.listdir(self.downloads)
            unfinished = [n for n in names if n.endswith(('.part', '.crdownload', '.tmp'))]
            if names and not unfinished and all(
                    os.path.getsize(os.path.join(self.downloads, n)) for n in names):
                return names
            return None
        name, = until(complete, 'a download is complete', seconds)
        return os.path.join(self.downloads, name)

    def text(self):
        return self.run('return document.body ? document.body.innerText : ""')

    def title(self):
        return self.run('return document.title')

    def save_screenshot(self, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as f:
            f.write(self.screenshot())


class Chromium(Browser):
    name, binary = 'chromium', 'chromium'

    def launch(self):
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        argv = [
            self.binary, '--headless=new', '--no-sandbox', '--remote-debugging-pipe',
            f'--user-data-dir={self.dir}/profile', '--no-first-run', '--disable-gpu',
            '--disable-dev-shm-usage', '--disable-background-networking', '--disable-sync',
            '--disable-component-update', '--disable-extensions', '--hide-scrollbars',
            '--disable-features=HttpsUpgrades,HttpsFirstBalancedMode,OptimizationHints,Translate',
            f'--window-size={self.size[0]},{self.size[1]}', 'about:blank']
        if self.socks_port:
            argv[-1:-1] = [f'--proxy-server=socks5://127.0.0.1:{self.socks_port}',
                           '--proxy-bypass-list=<-loopback>']
        # The browser reads from descriptor 3 and writes to 4.
        shell = ['bash', '-c', f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', 'bash', *argv]
        self.spawn(shell, pass_fds=(theirs_in, theirs_out))
        os.close(theirs_in)
        os.close(theirs_out)
        self.reading, self.writing = open(ours_in, 'rb', buffering=0), ours_out
        self.pending, self.events, self.session = b'', [], None
        os.set_blocking(ours_in, False)
        target = self.command('Target.createTarget', url='about:blank')['targetId']
        self.session = self.command('Target.attachToTarget', targetId=target,
                                    flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Log'):
            self.command(f'{domain}.enable')
        # Without what is sent: it would come back through the pipe.
        self.command('Network.enable', maxPostDataSize=1)
        self.look(self.dark, self.size)
        self.command('Emulation.setScriptExecutionDisabled', value=not self.scripts)
        self.command('Browser.setDownloadBehavior', behavior='allow',
                     downloadPath=self.downloads, eventsEnabled=True)

    def look(self, dark, size):
        """Another scheme of colours and another window, for the page that is open."""
        self.command('Emulation.setEmulatedMedia', features=[
            {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}])
        self.command('Emulation.setDeviceMetricsOverride', width=size[0], height=size[1],
                     deviceScaleFactor=1, mobile=size[0] < 500)

    def hide(self):
        """Another tab in front; what brings ours back."""
        other = self.command('Target.createTarget', url='about:blank')['targetId']
        return lambda: (self.command('Target.closeTarget', targetId=other),
                        self.command('Page.bringToFront'))

    def close(self):
        super().close()
        if getattr(self, 'writing', None) is not None:
            os.close(self.writing)
            self.reading.close()
            self.writing = None

    def _receive(self, deadline):
        while b'\0' not in self.pending:
            if time.monotonic() > deadline:
                raise BrowserError('the browser does not answer')
            if self.process.poll() is not None:
                raise BrowserError(f'the browser ended with {self.process.returncode}')
            data = self.reading.read(1 << 20)
            if data:
                self.pending += data
            else:
                time.sleep(0.01)
        message, _, self.pending = self.pending.partition(b'\0')
        return json.loads(message)

    def command(self, method, seconds=LOAD, **params):
        number = next(self.ids)
        message = {'id': number, 'method': method, 'params': params}
        if self.session and not method.startswith(('Target.', 'Browser.')):
            message['sessionId'] = self.session
        os.write(self.writing, json.dumps(message).encode() + b'\0')
        deadline = time.monotonic() + seconds
        while True:
            answer = self._receive(deadline)
            if answer.get('id') == number:
                if 'error' in answer:
                    raise BrowserError(f'{method}: {answer["error"]}')
                return answer['result']
            if 'method' in answer:
                self.events.append(answer)

    def _wait_event(self, method, seconds):
        deadline = time.monotonic() + seconds
        while not any(e['method'] == method for e in self.events):
            message = self._receive(deadline)
            if 'method' in message:
                self.events.append(message)

    def open(self, url, seconds=LOAD):
        self.events = []
        done = self.command('Page.navigate', url=url, seconds=seconds)
        if done.get('errorText'):
            raise BrowserError(f'{url}: {done["errorText"]}')
        if not self.endless:
            self._wait_event('Page.loadEventFired', seconds)

    def run(self, body):
        """The value of a function's body, as in WebDriver's ExecuteScript."""
        done = self.command('Runtime.evaluate', expression=f'(() => {{ {body} }})()',
                            returnByValue=True)
        if 'exceptionDetails' in done:
            raise BrowserError(str(done['exceptionDetails']))
        return done['result'].get('value')

    def click(self, selector):
        box = self.command('DOM.getBoxModel', objectId=self._object(selector))['model']['content']
        x, y = (box[0] + box[4]) / 2, (box[1] + box[5]) / 2
        for kind in ('mousePressed', 'mouseReleased'):
            self.command('Input.dispatchMouseEvent', type=kind, x=x, y=y, button='left',
                         clickCount=1)

    def _object(self, selector):
        found = self.command('Runtime.evaluate',
                             expression=f'document.querySelector({json.dumps(selector)})')
        return found['result']['objectId']

    def choose(self, selector, *paths):
        """Files, as in the dialogue of an input."""
        self.command('DOM.setFileInputFiles', objectId=self._object(selector), files=list(paths))

    def write(self, selector, text):
        self.click(selector)
        self.command('Input.insertText', text=text)

    def press(self, key):
        code = {'Tab': 9, 'Enter': 13}[key]
        text = {'Enter': '\r'}.get(key)
        self.command('Input.dispatchKeyEvent', type='keyDown', key=key, code=key,
                     windowsVirtualKeyCode=code, **({'text': text} if text else {}))
        self.command('Input.dispatchKeyEvent', type='keyUp', key=key, code=key,
                     windowsVirtualKeyCode=code)

    def screenshot(self):
        return base64.b64decode(self.command('Page.captureScreenshot', format='png',
                                             captureBeyondViewport=True)['data'])

    def complaints(self):
        """What the page made the browser complain of: blocked content, missing files, scripts."""
        return [e['params']['entry']['text'] for e in self.events
                if e['method'] == 'Log.entryAdded'
                and e['params']['entry']['level'] in ('error', 'warning')]

    def requested(self):
        return [e['params']['request']['url'] for e in self.events
                if e['method'] == 'Network.requestWillBeSent']


    def resume_download(self):
        """The button for it in the list of downloads, when the download has failed; unless it
        goes on by itself, as after a connection that was closed in peace."""
        self.command('Page.navigate', url='chrome://downloads/')

        def resumed_or_complete():
            return self.run(self.RESUME) or not any(
                name.endswith('.crdownload') for name in os.listdir(self.downloads))
        until(resumed_or_complete, 'the download can be resumed', START)

    RESUME = '''
        const list = document.querySelector("downloads-manager");
        const item = list?.shadowRoot?.querySelector("downloads-item");
        const button = item?.shadowRoot?.querySelector("#pause-or-resume");
        if (!button || button.hidden || !/Resume/.test(button.textContent)) { return false; }
        button.click();
        return true;'''


class Firefox(Browser):
    name, binary = 'firefox', 'firefox-esr'

    def prefs(self):
        prefs = {
            'marionette.port': 0,
            'browser.download.folderList': 2, 'browser.download.dir': self.downloads,
            'browser.download.always_ask_before_handling_new_types': False,
            'browser.download.useDownloadDir': True,
            'browser.helperApps.neverAsk.saveToDisk': 'application/zip,text/plain',
            'layout.css.prefers-color-scheme.content-override': 0 if self.dark else 1,
            'javascript.enabled': self.scripts,
            'dom.security.https_only_mode': False, 'dom.security.https_first': False,
            'network.dns.blockDotOnion': False, 'network.captive-portal-service.enabled': False,
            'network.connectivity-service.enabled': False,
            'datareporting.policy.dataSubmissionEnabled': False,
            'toolkit.telemetry.reportingpolicy.firstRun': False, 'app.update.enabled': False,
            'browser.shell.checkDefaultBrowser': False, 'browser.startup.page': 0,
            'browser.safebrowsing.malware.enabled': False,
            'browser.safebrowsing.phishing.enabled': False,
            'extensions.getAddons.cache.enabled': False, 'pdfjs.disabled': True,
            'remote.prefs.recommended': True,
        }
        if self.socks_port:
            prefs.update({
                'network.proxy.type': 1, 'network.proxy.socks': '127.0.0.1',
                'network.proxy.socks_port': self.socks_port, 'network.proxy.socks_version': 5,
                'network.proxy.socks_remote_dns': True})
        return prefs

    def launch(self):
        profile = os.path.join(self.dir, 'profile')
        os.mkdir(profile)
        with open(os.path.join(profile, 'user.js'), 'w') as f:
            for key, value in self.prefs().items():
                f.write(f'user_pref({json.dumps(key)}, {json.dumps(value)});\n')
        self.spawn([self.binary, '--headless', '--marionette', '-remote-allow-system-access',
                    '--no-remote', '--profile', profile,
                    f'--width={self.size[0]}', f'--height={self.size[1]}', 'about:blank'])
        port_file = os.path.join(profile, 'MarionetteActivePort')

        def port():
            if self.process.poll() is not None:
                raise BrowserError(f'the browser ended with {self.process.returncode}')
            if os.path.exists(port_file):
                with open(port_file) as f:
                    return int(f.read() or 0)
            return None
        self.sock = socket.create_connection(('127.0.0.1', until(port, 'Firefox is up', START)))
        self.sock.settimeout(LOAD)
        self.pending = b''
        self._receive()
        self.command('WebDriver:NewSession', capabilities={'alwaysMatch': {
            'pageLoadStrategy': 'none' if self.endless else 'normal',
            'timeouts': {'pageLoad': LOAD * 1000}}})
        self.command('WebDriver:SetWindowRect', width=self.size[0], height=self.size[1] + 100)

    def close(self):
        if getattr(self, 'sock', None) is not None:
            self.sock.close()
        super().close()

    def _receive(self):
        while True:
            length, colon, rest = self.pending.partition(b':')
            if colon and len(rest) >= int(length):
                message, self.pending = rest[:int(length)], rest[int(length):]
                return json.loads(message)
            data = self.sock.recv(1 << 20)
            if not data:
                raise BrowserError('Firefox hung up')
            self.pending += data

    def command(self, name, **params):
        message = json.dumps([0, next(self.ids), name, params]).encode()
        self.sock.sendall(b'%d:' % len(message) + message)
        _, _, error, result = self._receive()
        if error:
            raise BrowserError(f'{name}: {error["error"]}: {error["message"]}')
        return result

    def open(self, url, seconds=LOAD):
        self.command('WebDriver:Navigate', url=url)

    def run(self, body):
        return self.command('WebDriver:ExecuteScript', script=body, args=[])['value']

    def frame(self, selector):
        """What follows happens in this frame of the page; None: in the page itself."""
        self.command('WebDriver:SwitchToFrame',
                     element=self._element(selector) if selector else None)

    def _element(self, selector):
        found = self.command('WebDriver:FindElement', using='css selector', value=selector)
        return next(iter(found['value'].values()))

    def click(self, selector):
        if self.endless:  # ElementClick waits until the next page has come
            self.run(f'document.querySelector({json.dumps(selector)}).click()')
        else:
            self.command('WebDriver:ElementClick', id=self._element(selector))

    def choose(self, selector, *paths):
        """Files, as in the dialogue of an input."""
        self.write(selector, '\n'.join(paths))

    def write(self, selector, text):
        self.command('WebDriver:ElementSendKeys', id=self._element(selector), text=text)

    def press(self, key):
        keys = {'Tab': '\ue004', 'Enter': '\ue007'}[key]
        self.command('WebDriver:PerformActions', actions=[{
            'type': 'key', 'id': 'keyboard',
            'actions': [{'type': 'keyDown', 'value': keys}, {'type': 'keyUp', 'value': keys}]}])

    def screenshot(self):
        return base64.b64decode(self.command('WebDriver:TakeScreenshot', full=True)['value'])

    def _with_downloads(self, body):
        """A promise's value: of body, in which all are the downloads of the browser's own list."""
        self.command('Marionette:SetContext', value='chrome')
        try:
            return self.command('WebDriver:ExecuteAsyncScript', args=[], script='''
                const done = arguments[0];
                const { Downloads } = ChromeUtils.importESModule(
                    "resource://gre/modules/Downloads.sys.mjs");
                Downloads.getList(Downloads.ALL).then(list => list.getAll())
                    .then(all => { ''' + body + ''' }).then(done);''')['value']
        finally:
            self.command('Marionette:SetContext', value='content')

    def resume_download(self):
        """What the button for it in the list of downloads does, when the download has failed."""
        until(lambda: self._with_downloads('return all.length == 1 && all[0].stopped && '
                                           'all[0].hasPartialData;'),
              'the download can be resumed', START)
        self._with_downloads('all[0].start(); return true;')


BROWSERS = [Chromium, Firefox]


def installed(browser):
    return shutil.which(browser.binary) is not None
