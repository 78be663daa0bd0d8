/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The room's page. Whatever others wrote becomes text, never markup. */
'use strict';
(() => {
	const LINES_MAX = 1000, BYTES_MAX = 16384, WAIT_MAX = 30000;
	const at = id => document.getElementById(id);
	const log = at('log'), people = at('users'), say = at('text'), name = at('name');
	const title = document.title;
	const users = new Map();
	let socket = null, me = '', wanted = '', sent = '', unread = 0, tries = 0, met = false;
	let end = true, size = ''; /* the log is scrolled to its end, and so large */

	/* --- what is shown --- */

	function add(tag, parent, text, kind) {
		const e = document.createElement(tag);
		e.textContent = text;
		if (kind) {
			e.className = kind;
		}
		parent.append(e);
		return e;
	}

	function line(kind, text, who) {
		const p = add('p', log, who ? '' : text, kind);
		if (who) {
			add('b', p, who);
			p.append(' ');
			add('bdi', p, text).dir = 'auto';
		}
		while (log.childElementCount > LINES_MAX) {
			log.firstElementChild.remove();
		}
		stay();
	}

	/* Who sees the end goes on seeing it, also when a phone's keyboard comes up. */
	function stay() {
		size = `${log.clientWidth} ${log.clientHeight}`;
		if (end) {
			log.scrollTop = log.scrollHeight;
		}
	}

	function status(text) {
		at('status').textContent = text;
	}

	function mark() {
		document.title = unread ? `(${unread}) ${title}` : title;
	}

	function seen() {
		unread = 0;
		mark();
	}

	function count() {
		at('count').textContent = users.size;
	}

	function enter(who) {
		users.set(who, add('li', people, who, who === me ? 'me' : ''));
		count();
	}

	function leave(who) {
		users.get(who)?.remove();
		users.delete(who);
		count();
	}

	function rename(old, who) {
		const li = users.get(old);
		users.delete(old);
		if (li) {
			li.textContent = who;
			users.set(who, li);
		}
	}

	/* What could not be said comes back, to be mended or said again. */
	function mend() {
		if (sent && !say.value) {
			say.value = sent;
		}
		sent = '';
	}

	/* --- what comes in --- */

	const heard = {
		welcome(m) {
			me = m.name;
			name.value = me;
			people.replaceChildren();
			users.clear();
			m.users.forEach(enter);
			status('Connected');
			tries = 0;
			line('sys', met ? `You are back, as ${me}. What was said meanwhile is lost.`
				: `You are ${me}. Nobody can see what was said before.`);
			if (met && wanted && wanted !== me) {
				send({type: 'rename', name: wanted});
			}
			met = true;
		},
		message(m) {
			const own = m.name === me;
			line(own ? 'msg own' : 'msg', m.text, m.name);
			if (own) {
				sent = m.text === sent ? '' : sent;
			} else if (document.hidden || !document.hasFocus()) {
				unread++;
				mark();
			}
		},
		joined(m) {
			enter(m.name);
			line('sys', `${m.name} has joined`);
		},
		left(m) {
			leave(m.name);
			line('sys', `${m.name} has left`);
		},
		renamed(m) {
			rename(m.old, m.name);
			if (m.old === me) {
				me = wanted = name.value = m.name;
			}
			line('sys', `${m.old} is now called ${m.name}`);
		},
		error(m) {
			line('err', m.text);
			mend();
			name.value = me;
		},
	};

	function hear(event) {
		const m = JSON.parse(event.data);
		if (Object.hasOwn(heard, m.type)) {
			heard[m.type](m);
		}
	}

	/* --- the connection --- */

	function closed(event) {
		const wait = Math.min(WAIT_MAX, 1000 * 2 ** tries++) * (0.75 + Math.random() / 2);
		if (socket !== event.target) {
			return;
		}
		socket = null;
		if (me) {
			line('err', event.code === 1001 ? 'The room was closed.' : 'The connection is lost.');
		}
		me = '';
		mend();
		people.replaceChildren();
		users.clear();
		count();
		status(`Not connected. Trying again in ${Math.ceil(wait / 1000)} s`);
		setTimeout(connect, wait);
	}

	function connect() {
		status('Connecting\u2026');
		socket = new WebSocket(`${location.protocol.replace('http', 'ws')}//${location.host}/ws`);
		socket.onmessage = hear;
		socket.onclose = closed;
	}

	function send(m) {
		if (!me || socket?.readyState !== WebSocket.OPEN) {
			line('err', 'Not sent: there is no connection.');
			return false;
		}
		socket.send(JSON.stringify(m));
		return true;
	}

	/* --- what the visitor does --- */

	at('say').onsubmit = event => {
		const text = say.value;
		event.preventDefault();
		if (new TextEncoder().encode(text).length > BYTES_MAX) {
			line('err', 'This message is too long.');
		} else if (text && send({type: 'message', text})) {
			sent = text;
			say.value = '';
		}
		say.focus();
	};

	say.onkeydown = event => {
		if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
			event.preventDefault();
			at('say').requestSubmit();
		}
	};

	at('me').onsubmit = event => {
		event.preventDefault();
		if (name.value !== me && send({type: 'rename', name: name.value})) {
			say.focus();
		}
	};

	log.onscroll = () => {
		if (size === `${log.clientWidth} ${log.clientHeight}`) {
			end = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
		}
	};

	new ResizeObserver(stay).observe(log);
	window.onfocus = seen;
	document.onvisibilitychange = () => document.hidden || seen();
	at('chat').hidden = false;
	say.focus();
	connect();
})();
