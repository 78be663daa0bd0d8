/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Makes the dropbox's form send without leaving the page. Without it, the form
 * works all the same. Small submissions go in one request; large ones in pieces,
 * so that a broken circuit costs a piece at most (docs/upload.md). What is shown as
 * arrived is what the other side says it has, not what the browser has handed on.
 */
"use strict";

(() => {
const MiB = 1024 * 1024;
const WHOLE_MAX = MiB;               // larger ones go in pieces
const BARS_MAX = 50;                 // other files share the last one
const PIECE_MIN = MiB / 4, PIECE_FIRST = MiB, PIECE_MAX = 8 * MiB;
const QUICK_MS = 4000, SLOW_MS = 15000; // a piece that took less, more: the next is another size
const ANSWER_MS = 150000;            // then a request is taken for lost
const PAUSE_MAX_S = 30;
const form = document.querySelector("form.send");
const queue = [];
let running = null;

class Cancelled extends Error {}
class Final extends Error {}         // its message is for people; trying again does not help
class Busy extends Error {}          // nothing was kept, and a later attempt may do

/* --- the page --- */

function element(name, className, text) {
	const e = document.createElement(name);

	if (className) {
		e.className = className;
	}
	e.textContent = text || "";
	return e;
}

const list = element("ul", "uploads");
const live = element("p", "aside");  // for who does not see the list
list.hidden = true;
live.setAttribute("role", "status");
form.after(list, live);

function size(n) {
	return n < MiB ? Math.ceil(n / 1024) + " KiB" : (n / MiB).toFixed(1) + " MiB";
}

function button(upload, text, click) {
	const b = element("button", "quiet", text);

	b.type = "button";
	b.setAttribute("aria-label", text + ": " + upload.name);
	b.addEventListener("click", click);
	upload.item.append(b);
	return b;
}

/* {from, to}: where in the body it is what the bar tells of. */
function addBar(upload, name, from, to) {
	const bar = element("progress");

	bar.max = Math.max(to - from, 1);
	bar.value = 0;
	bar.setAttribute("aria-label", name);
	upload.bars.push({bar, from});
	return bar;
}

/* One for each file; for a message alone one too. */
function addBars(upload) {
	const files = upload.files, rest = files.slice(BARS_MAX - 1);

	upload.bars = [];
	upload.box = element(files.length > 1 ? "ul" : "div");
	if (files.length <= 1) {
		const at = files[0] || {from: 0, to: upload.body.size};

		upload.box.append(addBar(upload, upload.name, at.from, at.to));
		return;
	}
	const shown = rest.length > 1 ? files.slice(0, BARS_MAX - 1).concat({
		name: rest.length + " more", from: rest[0].from, to: rest[rest.length - 1].to}) : files;

	for (const file of shown) {
		const row = element("li", "", file.name);

		row.append(addBar(upload, file.name, file.from, file.to));
		upload.box.append(row);
	}
}

function addItem(upload) {
	upload.item = element("li");
	upload.item.append(element("b", "", upload.name));
	addBars(upload);
	upload.state = element("p");
	upload.item.append(upload.box, upload.state);
	upload.button = button(upload, "Cancel", () => cancel(upload));
	list.hidden = false;
	list.prepend(upload.item);
}

/* loud: also to who cannot see it. */
function say(upload, text, loud) {
	upload.state.textContent = text;
	if (loud) {
		live.textContent = upload.name + ": " + text;
	}
}

/* n bytes of the body; undefined: nobody knows. */
function showBars(upload, n) {
	for (const {bar, from} of upload.bars) {
		if (n === undefined) {
			bar.removeAttribute("value");
		} else {
			bar.value = Math.min(Math.max(n - from, 0), bar.max);
		}
	}
}

function close(upload, kind, text) {
	const had = document.activeElement === upload.button;

	upload.box.remove();
	upload.button.remove();
	upload.item.classList.add(kind);
	say(upload, text, true);
	if (had) {
		form.querySelector("input, textarea").focus();
	}
}

/* --- the body --- */

function quoted(name) {
	return name.replace(/\r\n|\r|\n/g, "%0D%0A").replace(/"/g, "%22");
}

/* As the form itself would be sent. The files are not read yet. */
function makeBody(files, text) {
	const random = crypto.getRandomValues(new Uint32Array(4));
	const boundary = "----onionshare" + Array.from(random, n => n.toString(36)).join("");
	const parts = [], places = [];
	let at = 0;
	const put = content => {
		const part = new Blob([content]);

		parts.push(part);
		at += part.size;
	};
	const add = (disposition, content) => {
		put("--" + boundary + "\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n");
		put(content);
		put("\r\n");
	};

	for (const file of files) {
		add('name="file[]"; filename="' + quoted(file.name) + '"', file);
		places.push({name: file.name, from: at - 2 - file.size, to: at - 2});
	}
	if (text) {
		add('name="text"', text.replace(/\r\n|\r|\n/g, "\r\n"));
	}
	parts.push("--" + boundary + "--\r\n");
	return {body: new Blob(parts), type: "multipart/form-data; boundary=" + boundary,
		files: places};
}

async function read(upload, from, to) {
	try {
		return await upload.body.slice(from, to).arrayBuffer();
	} catch {
		throw new Final("A file has changed or cannot be read any more. Please choose it again.");
	}
}

/* --- asking --- */

/* What another answer than "go on" says: shown to people. */
function answerOf(status, text) {
	try {
		const json = JSON.parse(text);

		if (json.new_body) {
			form.hidden = true; // the service stops
		}

		return {ok: !json.error_flashes, again: status >= 500,
			text: (json.error_flashes || json.info_flashes).join(" ")};
	} catch {
		throw new Final("The service gave an answer that could not be understood (" + status + ").");
	}
}

/* Says of what came that it was too slow, or that there is no place for it now? */
function throwIfBusy(status, text) {
	if (status === 408) {
		throw new Busy("It came too slowly.");
	}
	if (status === 503) {
		let why = "The service is busy.";

		try {
			why = JSON.parse(text).error_flashes.join(" ");
		} catch { /* one of the pages for everybody */ }
		throw new Busy(why);
	}
}

async function request(upload, method, url, headers, body) {
	upload.stop = new AbortController();
	const timer = setTimeout(() => upload.stop.abort(), ANSWER_MS);

	if (upload.cancelled) {
		upload.stop.abort();
	}
	try {
		const r = await fetch(url, {method, headers, body, signal: upload.stop.signal,
			redirect: "error", cache: "no-store"});

		return {status: r.status, headers: r.headers, text: await r.text()};
	} finally {
		clearTimeout(timer);
		if (upload.cancelled) {
			throw new Cancelled();
		}
	}
}

/* With a backoff, cut short when the network is back. */
async function pause(upload, failures, text) {
	let left = Math.min(2 ** (failures - 1), PAUSE_MAX_S), wake;
	const early = () => { left = 0; wake(); };

	addEventListener("online", early);
	upload.wake = early;
	for (; left > 0 && !upload.cancelled; left--) {
		say(upload, text + " Trying again in " + left + " s.", failures === 1 && !upload.paused);
		upload.paused = true;
		await new Promise(resolve => { wake = resolve; setTimeout(resolve, 1000); });
	}
	upload.paused = false;
	removeEventListener("online", early);
	if (upload.cancelled) {
		throw new Cancelled();
	}
}

/* --- in pieces --- */

function showArrived(upload, at, end) {
	const total = upload.body.size;

	showBars(upload, at);
	say(upload, size(at) + " of " + size(total) + " arrived. " + (end === total
		? "The rest is travelling through Tor; please keep this page open."
		: "More is travelling through Tor."), end === total);
}

async function create(upload) {
	const r = await request(upload, "POST", "/upload-ajax", {"Content-Type": upload.type,
		"Upload-Complete": "?0", "Upload-Length": String(upload.body.size)}, "");

	throwIfBusy(r.status, r.text);
	if (r.status !== 201) {
		return answerOf(r.status, r.text);
	}
	upload.url = r.headers.get("Location");
	upload.at = 0;
	return null;
}

/* How much has come? When the service does not know it any more, it begins anew. */
async function askOffset(upload) {
	const r = await request(upload, "HEAD", upload.url, {});

	throwIfBusy(r.status, r.text);
	if (r.status === 404) {
		upload.url = null;
		say(upload, "The service has started anew. Sending again from the beginning.", true);
	} else {
		/* Refused: there is an answer that tells why. */
		upload.at = r.status === 204 ? Number(r.headers.get("Upload-Offset")) : upload.body.size;
	}
}

/* An answer that ends it, or null. */
async function sendPiece(upload) {
	const end = Math.min(upload.at + upload.piece, upload.body.size);
	const bytes = await read(upload, upload.at, end);
	const began = performance.now();

	upload.final = end === upload.body.size;
	showArrived(upload, upload.at, end);
	const r = await request(upload, "PATCH", upload.url, {
		"Content-Type": "application/partial-upload", "Upload-Offset": String(upload.at),
		"Upload-Complete": upload.final ? "?1" : "?0"}, bytes);

	throwIfBusy(r.status, r.text);
	if (r.status === 409) {
		throw new Error("out of step");
	}
	if (r.status === 404) {
		upload.sure = false;
		return null;
	}
	if (r.status !== 204) {
		return answerOf(r.status, r.text);
	}
	upload.at = Number(r.headers.get("Upload-Offset"));
	const took = performance.now() - began;

	if (took < QUICK_MS) {
		upload.piece = Math.min(upload.piece * 2, PIECE_MAX);
	} else if (took > SLOW_MS) {
		upload.piece = Math.max(upload.piece / 2, PIECE_MIN);
	}
	return null;
}

/* One step; what is not sure is asked for first. */
async function step(upload) {
	if (upload.url && !upload.sure) {
		await askOffset(upload);
		upload.sure = true;
	}
	if (!upload.url) {
		const refused = await create(upload);

		if (refused) {
			return refused;
		}
		upload.sure = true;
	}
	return sendPiece(upload);
}

async function sendPieces(upload) {
	let failures = 0;

	upload.piece = PIECE_FIRST;
	for (;;) {
		try {
			const answer = await step(upload);

			if (answer) {
				return answer;
			}
			failures = upload.sure ? 0 : failures;
		} catch (e) {
			if (e instanceof Cancelled || e instanceof Final) {
				throw e;
			}
			upload.sure = false;
			upload.piece = Math.max(upload.piece / 2, PIECE_MIN);
			await pause(upload, ++failures, e instanceof Busy ? e.message
				: "The connection broke.");
		}
	}
}

/* --- in one --- */

function showHanded(upload, n) {
	if (n < upload.body.size) {
		showBars(upload, n);
		say(upload, size(n) + " of " + size(upload.body.size) + " handed to Tor.");
	} else {
		upload.final = true;
		showBars(upload);
		say(upload, "Still travelling through Tor; please keep this page open.", true);
	}
}

/* fetch does not tell how far it is. */
function post(upload, bytes) {
	return new Promise((resolve, reject) => {
		const xhr = new XMLHttpRequest();

		upload.stop = xhr;
		xhr.upload.onprogress = e => showHanded(upload, e.loaded);
		xhr.upload.onload = () => showHanded(upload, upload.body.size);
		xhr.onload = () => resolve(xhr);
		xhr.onerror = () => reject(new Final("The connection broke before there was an answer: " +
			"it may have arrived, or not."));
		xhr.onabort = () => reject(new Cancelled());
		xhr.open("POST", "/upload-ajax");
		xhr.setRequestHeader("Content-Type", upload.type);
		xhr.send(bytes);
	});
}

async function sendWhole(upload) {
	const bytes = await read(upload, 0, upload.body.size);

	for (let failures = 1;; failures++) {
		const xhr = await post(upload, bytes);

		try {
			throwIfBusy(xhr.status, xhr.responseText);
			return answerOf(xhr.status, xhr.responseText);
		} catch (e) {
			if (!(e instanceof Busy)) {
				throw e;
			}
			upload.final = false;
			await pause(upload, failures, e.message);
		}
	}
}

/* --- one after the other --- */

function cancel(upload) {
	upload.cancelled = true;
	if (upload.stop) {
		upload.stop.abort();
	}
	if (upload.wake) {
		upload.wake();
	}
	if (upload.url) {
		fetch(upload.url, {method: "DELETE", keepalive: true}).catch(() => {});
	}
	if (queue.includes(upload)) {
		queue.splice(queue.indexOf(upload), 1);
		close(upload, "error", "Cancelled.");
	}
}

function offerAgain(upload) {
	button(upload, "Send again", e => {
		e.target.remove();
		upload.item.remove();
		begin(upload.name, upload);
	});
}

async function send(upload) {
	say(upload, "Connecting …", true);
	try {
		const answer = await (upload.body.size > WHOLE_MAX ? sendPieces : sendWhole)(upload);

		close(upload, answer.ok ? "info" : "error", answer.text);
		if (!answer.ok && answer.again) {
			offerAgain(upload);
		}
	} catch (e) {
		if (e instanceof Cancelled) {
			close(upload, "error", upload.final
				? "Cancelled. If all of it had arrived by then, it was kept."
				: "Cancelled. Nothing of it was kept.");
		} else {
			close(upload, "error", e.message);
			offerAgain(upload);
		}
	}
}

async function sendNext() {
	while (!running && queue.length) {
		running = queue.shift();
		await send(running);
		running = null;
	}
}

function begin(name, content) {
	const upload = {name, body: content.body, type: content.type, files: content.files};

	addItem(upload);
	say(upload, "Waiting for the one before.");
	queue.push(upload);
	sendNext();
}

form.addEventListener("submit", event => {
	const files = form.querySelector("#files"), text = form.querySelector("#text");
	const chosen = files ? Array.from(files.files) : [];
	const message = text && text.value.trim() ? text.value : "";
	const names = chosen.map(f => f.name);

	if (!chosen.length && !message) {
		return; // the page says so
	}
	event.preventDefault();
	if (message) {
		names.unshift("Message");
	}
	if (names.length > 4) {
		names.splice(3, names.length, (names.length - 3) + " more");
	}
	begin(names.join(", "), makeBody(chosen, message));
	form.reset();
});

addEventListener("beforeunload", event => {
	if (running) {
		event.preventDefault();
	}
});
})();
