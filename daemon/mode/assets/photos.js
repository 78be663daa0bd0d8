/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Warns, before anything is sent, of chosen pictures that tell where they were
 * taken: Exif's GPS directory (CIPA DC-008, 4.6.6), as cameras and phones write it
 * near the beginning of JPEG, HEIC, PNG and TIFF files. Only the browser looks.
 */
"use strict";

(() => {
const LOOK_AT = 256 * 1024, FILES_MAX = 200;
const BEFORE_TIFF = ["Exif\0\0", "eXIf"]; // JPEG and HEIC; PNG
const GPS_DIRECTORY = 0x8825, LATITUDE = 2;
const input = document.querySelector("#files");

if (!input) {
	return;
}
const status = document.createElement("div");
status.setAttribute("role", "status");
input.parentElement.after(status);

function warnOf(names) {
	const p = document.createElement("p");

	if (names.length > 4) {
		names.splice(3, names.length, names.length - 3 + " more");
	}
	p.className = "warning";
	p.textContent = "The place where it was taken is written in " + names.join(", ") +
		". Whoever gets it can read that. A screenshot of the picture does not tell.";
	status.replaceChildren(p);
}

/* Offset of a directory's entry with this tag in a TIFF file (TIFF 6.0, section 2), or 0. */
function entryOf(tiff, little, directory, tag) {
	for (let i = 0, n = tiff.getUint16(directory, little); i < n; i++) {
		if (tiff.getUint16(directory + 2 + 12 * i, little) === tag) {
			return directory + 2 + 12 * i;
		}
	}
	return 0;
}

function tiffTellsPlace(tiff) {
	const little = tiff.getUint16(0) === 0x4949;
	const gps = entryOf(tiff, little, tiff.getUint32(4, little), GPS_DIRECTORY);

	return gps > 0 && entryOf(tiff, little, tiff.getUint32(gps + 8, little), LATITUDE) > 0;
}

async function tellsPlace(file) {
	const bytes = await file.slice(0, LOOK_AT).arrayBuffer();
	const text = new TextDecoder("latin1").decode(bytes);
	const start = /^(II\*\0|MM\0\*)/.test(text) ? [0] : [];

	for (const mark of BEFORE_TIFF) {
		const at = text.indexOf(mark);

		if (at >= 0) {
			start.push(at + mark.length);
		}
	}
	return start.some(at => {
		try {
			return tiffTellsPlace(new DataView(bytes, at));
		} catch {
			return false; // cut off, or none of these
		}
	});
}

async function look() {
	const files = Array.from(input.files).slice(0, FILES_MAX);
	const found = await Promise.all(files.map(f => tellsPlace(f).catch(() => false)));
	const names = files.filter((f, i) => found[i]).map(f => f.name);

	if (files.some((f, i) => f !== input.files[i])) {
		return; // others were chosen meanwhile
	}
	status.replaceChildren();
	if (names.length) {
		warnOf(names);
	}
}

input.addEventListener("change", look);
input.form.addEventListener("reset", () => status.replaceChildren());
})();
