#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A private Tor network on loopback: three authorities, three relays and some clients.

For the tests and for `./quickstart --testnet`. Nothing leaves the machine, no
port is fixed, and no process outlives the one that holds the network: every tor
asks the kernel to be killed with its parent.

As a command:

    tornet.py start DIR [--clients N] [--foreground]
    tornet.py stop DIR

`start` prints one JSON object (see TorNet.info) once every client has
bootstrapped. Detached, a supervisor keeps the network until `stop`; with
--foreground it lives until SIGTERM, SIGINT, the end of the parent, or the end of
stdin where that is a pipe.

As a library:

    with TorNet(directory) as net:
        client = net.clients[0]
        client.auth_add(onion, private_key_base32)
        subprocess.run(["curl", *client.curl_args(), f"http://{onion}.onion/"])

The network keeps a `tor` running per node, so start and stop it in the main
thread: the kernel counts the death of the starting thread as the parent's.

What makes the network fast is the testing options of tor(1): votes every 10 s,
every relay a guard and a directory from the first vote on.
"""

import argparse
import base64
import ctypes
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time

AUTHORITIES = 3
RELAYS = 3
BOOTSTRAP_LIMIT = 120  # seconds; then once more from the start
SOCKET_PATH_MAX = 107  # sun_path
PR_SET_PDEATHSIG = 1

COMMON = """\
TestingTorNetwork 1
PathsNeededToBuildCircuits 0.67
TestingDirAuthVoteExit *
TestingDirAuthVoteHSDir *
TestingDirAuthVoteGuard *
TestingMinExitFlagThreshold 0
V3AuthNIntervalsValid 2
AddressDisableIPv6 1
"""

RELAY = """\
Address 127.0.0.1
SocksPort 0
ExitRelay 0
AssumeReachable 1
ShutdownWaitLength 0
ServerDNSDetectHijacking 0
ServerDNSTestAddresses
ServerDNSResolvConfFile /dev/null
"""

AUTHORITY = """\
AuthoritativeDirectory 1
V3AuthoritativeDirectory 1
ContactInfo none@test.invalid
TestingV3AuthInitialVotingInterval 5
TestingV3AuthInitialVoteDelay 2
TestingV3AuthInitialDistDelay 2
V3AuthVotingInterval 10
V3AuthVoteDelay 2
V3AuthDistDelay 2
"""

BRIDGE = """\
BridgeRelay 1
PublishServerDescriptor 0
"""

OBFS4 = """\
ServerTransportPlugin obfs4 exec {program}
ServerTransportListenAddr obfs4 127.0.0.1:{port}
ExtORPort auto
"""

CLIENT = """\
CookieAuthentication 1
"""


class TorNetError(Exception):
    pass


def _set_death_signal(number):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def _die_with(parent):
    """For preexec_fn: SIGKILL when the parent ends, also if it just did."""

    def preexec():
        _set_death_signal(signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return preexec


class Ports:
    """Free loopback ports, kept bound until all are chosen so that none comes twice."""

    def __init__(self):
        self._held = []

    def take(self):
        s = socket.socket()
        s.bind(("127.0.0.1", 0))
        self._held.append(s)
        return s.getsockname()[1]

    def release(self):
        for s in self._held:
            s.close()
        self._held = []


class Control:
    """A synchronous control connection (control-spec), for the tests' own use."""

    def __init__(self, path, cookie_file):
        self.events = []  # that came before the replies so far
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(30)
        try:
            self._sock.connect(path)
            self._file = self._sock.makefile("rb")
            with open(cookie_file, "rb") as f:
                self.command("AUTHENTICATE " + f.read().hex())
        except BaseException:
            self._sock.close()
            raise

    def command(self, line):
        """Sends one line; the reply's lines without their codes. TorNetError unless 25x."""
        self._sock.sendall(line.encode() + b"\r\n")
        lines = []
        while True:
            raw = self._file.readline()
            if not raw:
                raise TorNetError("the control connection ended")
            text = raw.decode("utf-8", "replace").rstrip("\r\n")
            if text.startswith("6"):
                self.events.append(text)
                continue
            lines.append(text[4:])
            if text[3:4] == "+":
                while True:
                    data = self._file.readline().decode("utf-8", "replace").rstrip("\r\n")
                    if data in (".", ""):
                        break
                    lines.append(data[1:] if data.startswith(".") else data)
            elif text[3:4] == " ":
                if not text.startswith("25"):
                    raise TorNetError(f"{line.split()[0]}: {text}")
                return lines

    def events_until_now(self):
        self.command("GETINFO version")  # they come before its reply
        return self.events

    def next_event(self):
        """The next line that comes, however long that takes; None: the connection has ended."""
        self._sock.settimeout(None)
        try:
            return self._file.readline().decode("utf-8", "replace").rstrip("\r\n") or None
        except OSError:
            return None

    def hang_up(self):
        """Ends next_event in another thread."""
        self._sock.shutdown(socket.SHUT_RDWR)

    def close(self):
        self._file.close()
        self._sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Node:
    """One tor process and its directory."""

    def __init__(self, directory, nickname):
        self.dir = os.path.join(directory, nickname)
        self.nickname = nickname
        self.lines = []
        self.process = None
        os.makedirs(self.dir, mode=0o700)

    @property
    def torrc_file(self):
        return os.path.join(self.dir, "torrc")

    @property
    def log_file(self):
        return os.path.join(self.dir, "log")

    @property
    def pid(self):
        return self.process.pid

    def write_torrc(self, *parts):
        with open(self.torrc_file, "w", encoding="utf-8") as f:
            f.write("".join(parts))
            f.write(f"DataDirectory {self.dir}\nLog notice file {self.log_file}\n")
            f.write("".join(line + "\n" for line in self.lines))

    def launch(self):
        self.process = subprocess.Popen(
            [_tool("tor"), "-f", self.torrc_file, "--defaults-torrc", "/nonexistent", "--quiet"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_die_with(os.getpid()),
            start_new_session=True,
        )

    def last_words(self):
        try:
            with open(self.log_file, encoding="utf-8", errors="replace") as f:
                return "".join(f.readlines()[-3:]).strip()
        except OSError:
            return "no log"

    def end(self, seconds=5):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None


class Client(Node):
    """A visitor's tor: SOCKS on a port and on a socket, a control socket for the tests."""

    def __init__(self, directory, nickname, socket_dir, ports):
        super().__init__(directory, nickname)
        self.socks_port = ports.take()
        sockets = os.path.join(socket_dir, nickname)
        os.makedirs(sockets, mode=0o700, exist_ok=True)
        self.socks_socket = os.path.join(sockets, "socks")
        self.control_socket = os.path.join(sockets, "control")
        self.cookie_file = os.path.join(self.dir, "control_auth_cookie")
        keys = os.path.join(self.dir, "keys")
        os.makedirs(keys, mode=0o700)
        self.lines = [
            f"ClientOnionAuthDir {keys}",
            f"SocksPort 127.0.0.1:{self.socks_port} ExtendedErrors",
            f"SocksPort unix:{self.socks_socket} ExtendedErrors",
            f"ControlSocket {self.control_socket}",
        ]

    def control(self):
        return Control(self.control_socket, self.cookie_file)

    def bootstrapped(self):
        """Percent, or -1 when tor does not answer yet."""
        try:
            with self.control() as c:
                phase = c.command("GETINFO status/bootstrap-phase")[0]
        except (OSError, TorNetError):
            return -1
        found = re.search(r"PROGRESS=(\d+)", phase)
        return int(found.group(1)) if found else -1

    def auth_add(self, onion, private_key):
        """Gives this visitor the private key (base32, as people get it) of an onion."""
        with self.control() as c:
            # NEWNYM takes every key that is not in a file with it.
            give_key(c, onion, private_key, flags="Flags=Permanent")

    def auth_remove(self, onion):
        """Takes the key away again, and what this tor knows of the onion with it: see forget."""
        with self.control() as c:
            c.command(f"ONION_CLIENT_AUTH_REMOVE {_bare(onion)}")
        self.forget()

    def forget(self, wait=False):
        """New circuits and no cached descriptors: the next visit is a newcomer's with our keys.

        Of two within 10 seconds tor delays the second until they are over: without wait this
        returns before.
        """
        with self.control() as c:
            if wait:
                c.command("SETEVENTS SIGNAL")
            c.command("SIGNAL NEWNYM")
            deadline = time.monotonic() + 20
            while wait and not any("SIGNAL NEWNYM" in e for e in c.events_until_now()):
                if time.monotonic() > deadline:
                    raise TorNetError("tor does not forget")
                time.sleep(0.1)

    def curl_args(self, isolate=None):
        """For curl's command line. isolate: any word; equal words share circuits."""
        args = ["--socks5-hostname", f"127.0.0.1:{self.socks_port}", "--noproxy", ""]
        if isolate is not None:
            args += ["--proxy-user", f"{isolate}:x"]
        return args

    def info(self):
        return {
            "socks_port": self.socks_port,
            "socks_socket": self.socks_socket,
            "control_socket": self.control_socket,
            "cookie_file": self.cookie_file,
            "pid": self.pid,
        }


def give_key(control, onion, private_key, flags=""):
    """Gives the tor behind a control connection the private key of an onion."""
    key = base64.b32decode(private_key.upper() + "=" * (-len(private_key) % 8))
    control.command(f"ONION_CLIENT_AUTH_ADD {_bare(onion)} "
                    f"x25519:{base64.b64encode(key).decode()} {flags}".rstrip())


def _bare(onion):
    return onion.removeprefix("http://").split("/")[0].removesuffix(".onion").lower()


def _tool(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin")
    if path is None:
        raise TorNetError(f"{name} is not installed: apt install tor")
    return path


class TorNet:
    def __init__(self, directory, clients=2):
        self.dir = os.path.abspath(directory)
        self.n_clients = clients
        self.nodes = []
        self.clients = []
        self.seconds = None  # from the first process to the last client's 100 %
        self.torrc = ""
        self._socket_dir = None
        self._more_clients = 0

    # --- life ---

    def start(self, limit=BOOTSTRAP_LIMIT):
        try:
            try:
                self._attempt(limit)
            except TorNetError as e:
                print(f"tornet: {e}; once more from the start", file=sys.stderr)
                self._end_nodes()
                self._attempt(limit)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        """Ends every process. The directory with the logs stays."""
        self._end_nodes()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def _attempt(self, limit):
        begun = time.monotonic()
        self._prepare()
        for node in self.nodes:
            node.launch()
        self._wait_bootstrapped(begun + limit)
        self.seconds = round(time.monotonic() - begun, 1)

    def _end_nodes(self):
        for node in self.nodes:
            if node.process is not None and node.process.poll() is None:
                node.process.terminate()
        for node in self.nodes:
            node.end()
        self.nodes, self.clients = [], []
        if self._socket_dir not in (None, self.dir):
            shutil.rmtree(self._socket_dir, ignore_errors=True)
        self._socket_dir = None

    def add_client(self):
        """One more, which may be killed and launched again; it is on its way."""
        ports = Ports()
        self._more_clients += 1
        name = f"client{self.n_clients + self._more_clients}"
        client = Client(self.dir, name, self._socket_dir, ports)
        client.write_torrc(self.torrc, CLIENT)
        ports.release()
        self.nodes.append(client)
        client.launch()
        return client

    def add_bridge(self, obfs4=False):
        """One more tor that nobody hears of: (its bridge line, its port), once it listens."""
        ports = Ports()
        node = Node(self.dir, f"bridge{sum(n.nickname.startswith('bridge') for n in self.nodes)}")
        or_port = port = ports.take()
        node.lines = [f"Nickname {node.nickname}", f"ORPort 127.0.0.1:{or_port}"]
        extra = BRIDGE
        if obfs4:
            port = ports.take()
            extra += OBFS4.format(program=_tool("obfs4proxy"), port=port)
        node.write_torrc(self.torrc, RELAY, extra)
        ports.release()
        self.nodes.append(node)
        node.launch()
        return self._bridge_line(node, port, obfs4), port

    def _bridge_line(self, node, port, obfs4):
        identity = os.path.join(node.dir, "fingerprint")
        keys = os.path.join(node.dir, "pt_state", "obfs4_bridgeline.txt")
        deadline = time.monotonic() + 30
        while not (os.path.exists(identity) and _listens(port)
                   and (not obfs4 or os.path.exists(keys))):
            if node.process.poll() is not None or time.monotonic() > deadline:
                raise TorNetError(f"{node.nickname}: {node.last_words()}")
            time.sleep(0.05)
        with open(identity, encoding="ascii") as f:
            line = f"127.0.0.1:{port} {f.read().split()[1]}"
        if obfs4:
            with open(keys, encoding="ascii") as f:
                line = f"obfs4 {line} {re.search('cert=.*', f.read()).group(0).strip()}"
        return line

    # --- making ---

    def _prepare(self):
        self._make_dirs()
        ports = Ports()
        authorities = [self._authority(i, ports) for i in range(AUTHORITIES)]
        relays = [self._relay(i, ports) for i in range(RELAYS)]
        self.clients = [
            Client(self.dir, f"client{i}", self._socket_dir, ports) for i in range(self.n_clients)
        ]
        self.nodes = authorities + relays + self.clients
        _make_certificates(authorities)
        common = COMMON + "".join(_dir_authority(a) for a in authorities)
        for a in authorities:
            a.write_torrc(common, RELAY, AUTHORITY)
        for r in relays:
            r.write_torrc(common, RELAY)
        for c in self.clients:
            c.write_torrc(common, CLIENT)
        self.torrc = common
        with open(self.torrc_file, "w", encoding="utf-8") as f:
            f.write(common)
        ports.release()

    def _make_dirs(self):
        os.makedirs(self.dir, mode=0o700, exist_ok=True)
        for name in os.listdir(self.dir):
            if re.fullmatch(r"(auth|relay|client|bridge)\d+", name):
                shutil.rmtree(os.path.join(self.dir, name))
        longest = os.path.join(self.dir, "client99", "control")
        if len(os.fsencode(longest)) <= SOCKET_PATH_MAX:
            self._socket_dir = self.dir
        else:
            self._socket_dir = tempfile.mkdtemp(prefix="tornet-")

    def _authority(self, i, ports):
        node = Node(self.dir, f"auth{i}")
        node.or_port, node.dir_port = ports.take(), ports.take()
        node.lines = [
            f"Nickname {node.nickname}",
            f"ORPort 127.0.0.1:{node.or_port}",
            f"DirPort 127.0.0.1:{node.dir_port}",
        ]
        return node

    def _relay(self, i, ports):
        node = Node(self.dir, f"relay{i}")
        node.lines = [f"Nickname {node.nickname}", f"ORPort 127.0.0.1:{ports.take()}"]
        return node

    def _wait_bootstrapped(self, deadline):
        waiting = list(self.clients)
        while waiting:
            for node in self.nodes:
                if node.process.poll() is not None:
                    raise TorNetError(f"{node.nickname} ended: {node.last_words()}")
            waiting = [c for c in waiting if c.bootstrapped() < 100]
            if time.monotonic() > deadline:
                raise TorNetError(
                    f"{waiting[0].nickname} has not bootstrapped: {waiting[0].last_words()}"
                )
            if waiting:
                time.sleep(0.1)

    # --- telling ---

    @property
    def torrc_file(self):
        """Lines that make one more tor join (the daemon's --torrc)."""
        return os.path.join(self.dir, "join.torrc")

    def info(self):
        return {
            "dir": self.dir,
            "torrc": self.torrc.splitlines(),
            "torrc_file": self.torrc_file,
            "clients": [c.info() for c in self.clients],
            "pids": [n.pid for n in self.nodes],
            "seconds": self.seconds,
        }


def _listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def _make_certificates(authorities):
    """Identity key, signing key and certificate of each; several at once, they take seconds."""
    running = []
    for a in authorities:
        keys = os.path.join(a.dir, "keys")
        os.makedirs(keys, mode=0o700)
        a.certificate = os.path.join(keys, "authority_certificate")
        running.append(
            subprocess.Popen(
                [_tool("tor-gencert"), "--create-identity-key", "--passphrase-fd", "0"]
                + ["-i", os.path.join(keys, "authority_identity_key")]
                + ["-s", os.path.join(keys, "authority_signing_key")]
                + ["-c", a.certificate, "-m", "12", "-a", f"127.0.0.1:{a.dir_port}"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                preexec_fn=_die_with(os.getpid()),
            )
        )
    for process in running:
        _, err = process.communicate()
        if process.returncode != 0:
            raise TorNetError("tor-gencert: " + err.decode("utf-8", "replace").strip())
    for a in authorities:
        with open(a.certificate, encoding="ascii") as f:
            a.v3ident = re.search(r"^fingerprint ([0-9A-F]{40})$", f.read(), re.M).group(1)
        a.fingerprint = _fingerprint(a)


def _fingerprint(authority):
    out = subprocess.run(
        [_tool("tor"), "--list-fingerprint", "--quiet", "--ignore-missing-torrc"]
        + ["-f", "/nonexistent", "--defaults-torrc", "/nonexistent"]
        + ["--DataDirectory", authority.dir, "--ORPort", str(authority.or_port)]
        + ["--Nickname", authority.nickname, "--DirAuthority", "test 127.0.0.1:1 " + "f" * 40],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        encoding="ascii",
    ).stdout
    return out.split(maxsplit=1)[1].replace(" ", "").strip()


def _dir_authority(a):
    return (
        f"DirAuthority {a.nickname} orport={a.or_port} no-v2 v3ident={a.v3ident} "
        f"127.0.0.1:{a.dir_port} {a.fingerprint}\n"
    )


# --- the command ---


def _lock(directory, wait=False):
    """Held as long as a network lives in the directory; None if somebody else holds it."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    fd = os.open(os.path.join(directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def _pid_file(directory):
    return os.path.join(directory, "pid")


class _Ended(Exception):
    pass


def _on_signal(*_):
    raise _Ended


def _hold(directory, clients, ready, until_stdin_ends):
    """Runs the network until a signal; ready(info) is called once. The exit status."""
    signal.signal(signal.SIGTERM, _on_signal)
    signal.signal(signal.SIGINT, _on_signal)
    lock = _lock(directory)
    if lock is None:
        raise TorNetError(f"a network runs in {directory} already: tornet.py stop {directory}")
    with open(_pid_file(directory), "w", encoding="ascii") as f:
        f.write(f"{os.getpid()}\n")
    net = TorNet(directory, clients)
    try:
        net.start()
        ready(net.info())
        while until_stdin_ends and os.read(0, 4096):
            pass
        while not until_stdin_ends:
            signal.pause()
    except _Ended:
        pass
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        net.stop()
        os.unlink(_pid_file(directory))
        os.close(lock)


def _start_foreground(args):
    parent = os.getppid()
    _set_death_signal(signal.SIGTERM)
    if os.getppid() != parent:
        return
    mode = os.fstat(0).st_mode
    piped = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
    _hold(args.dir, args.clients, lambda info: print(json.dumps(info), flush=True), piped)


def _start_detached(args):
    """A supervisor of its own session holds the network; what it says first comes by a pipe."""
    os.makedirs(args.dir, mode=0o700, exist_ok=True)
    read, write = os.pipe()
    if os.fork() != 0:
        os.close(write)
        with os.fdopen(read, encoding="utf-8") as f:
            answer = json.loads(f.read() or '{"error": "the supervisor ended"}')
        if "error" in answer:
            raise TorNetError(answer["error"])
        print(json.dumps(answer))
        return
    os.setsid()
    log = os.open(
        os.path.join(args.dir, "supervisor.log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600
    )
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.dup2(log, 2)
    os.close(read)
    pipe = os.fdopen(write, "w", encoding="utf-8")

    def answer(value):
        json.dump(value, pipe)
        pipe.close()

    try:
        _hold(args.dir, args.clients, answer, False)
    except (TorNetError, OSError, subprocess.SubprocessError) as e:
        if not pipe.closed:
            answer({"error": str(e)})
        os._exit(1)
    os._exit(0)


def _stop(args):
    lock = _lock(args.dir)
    if lock is None:  # held: so the number in the file is that of a living supervisor
        with open(_pid_file(args.dir), encoding="ascii") as f:
            os.kill(int(f.read()), signal.SIGTERM)
        lock = _lock(args.dir, wait=True)
    os.close(lock)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("start")
    start.add_argument("dir")
    start.add_argument("--clients", type=int, default=2)
    start.add_argument("--foreground", action="store_true")
    stop = commands.add_parser("stop")
    stop.add_argument("dir")
    args = parser.parse_args()
    args.dir = os.path.abspath(args.dir)
    try:
        if args.command == "stop":
            _stop(args)
        elif args.foreground:
            _start_foreground(args)
        else:
            _start_detached(args)
    except (TorNetError, OSError, subprocess.SubprocessError) as e:
        print(f"tornet: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
