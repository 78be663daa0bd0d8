/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/mime.h"

#include <stdlib.h>

#include "proto/base/alloc.h"

#define UTF8 "; charset=utf-8"

struct mime {
	const char *ext;
	const char *type;
};

/* Sorted by ext, which is in lower case. */
static const struct mime table[] = {
	{"3gp", "video/3gpp"},
	{"7z", "application/x-7z-compressed"},
	{"aac", "audio/aac"},
	{"aif", "audio/aiff"},
	{"aiff", "audio/aiff"},
	{"apk", "application/vnd.android.package-archive"},
	{"apng", "image/apng"},
	{"asc", "text/plain" UTF8},
	{"atom", "application/atom+xml"},
	{"avi", "video/x-msvideo"},
	{"avif", "image/avif"},
	{"bmp", "image/bmp"},
	{"bz2", "application/x-bzip2"},
	{"c", "text/plain" UTF8},
	{"cfg", "text/plain" UTF8},
	{"conf", "text/plain" UTF8},
	{"cpp", "text/plain" UTF8},
	{"css", "text/css" UTF8},
	{"csv", "text/csv" UTF8},
	{"deb", "application/vnd.debian.binary-package"},
	{"diff", "text/plain" UTF8},
	{"djvu", "image/vnd.djvu"},
	{"doc", "application/msword"},
	{"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
	{"eml", "message/rfc822"},
	{"eot", "application/vnd.ms-fontobject"},
	{"eps", "application/postscript"},
	{"epub", "application/epub+zip"},
	{"flac", "audio/flac"},
	{"gif", "image/gif"},
	{"go", "text/plain" UTF8},
	{"gpg", "application/pgp-encrypted"},
	{"gz", "application/gzip"},
	{"h", "text/plain" UTF8},
	{"heic", "image/heic"},
	{"heif", "image/heif"},
	{"htm", "text/html" UTF8},
	{"html", "text/html" UTF8},
	{"ico", "image/vnd.microsoft.icon"},
	{"ics", "text/calendar" UTF8},
	{"ini", "text/plain" UTF8},
	{"iso", "application/x-iso9660-image"},
	{"jar", "application/java-archive"},
	{"jpeg", "image/jpeg"},
	{"jpg", "image/jpeg"},
	{"js", "text/javascript" UTF8},
	{"json", "application/json"},
	{"jsonl", "application/jsonl"},
	{"jxl", "image/jxl"},
	{"key", "application/vnd.apple.keynote"},
	{"log", "text/plain" UTF8},
	{"m3u8", "application/vnd.apple.mpegurl"},
	{"m4a", "audio/mp4"},
	{"m4v", "video/mp4"},
	{"map", "application/json"},
	{"markdown", "text/markdown" UTF8},
	{"md", "text/markdown" UTF8},
	{"mid", "audio/midi"},
	{"midi", "audio/midi"},
	{"mjs", "text/javascript" UTF8},
	{"mkv", "video/x-matroska"},
	{"mobi", "application/x-mobipocket-ebook"},
	{"mov", "video/quicktime"},
	{"mp3", "audio/mpeg"},
	{"mp4", "video/mp4"},
	{"mpeg", "video/mpeg"},
	{"mpg", "video/mpeg"},
	{"odp", "application/vnd.oasis.opendocument.presentation"},
	{"ods", "application/vnd.oasis.opendocument.spreadsheet"},
	{"odt", "application/vnd.oasis.opendocument.text"},
	{"oga", "audio/ogg"},
	{"ogg", "audio/ogg"},
	{"ogv", "video/ogg"},
	{"opus", "audio/ogg"},
	{"otf", "font/otf"},
	{"patch", "text/plain" UTF8},
	{"pdf", "application/pdf"},
	{"pgp", "application/pgp-encrypted"},
	{"png", "image/png"},
	{"ppt", "application/vnd.ms-powerpoint"},
	{"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
	{"ps", "application/postscript"},
	{"py", "text/plain" UTF8},
	{"rar", "application/vnd.rar"},
	{"rpm", "application/x-rpm"},
	{"rs", "text/plain" UTF8},
	{"rss", "application/rss+xml"},
	{"rst", "text/plain" UTF8},
	{"rtf", "application/rtf"},
	{"sh", "text/plain" UTF8},
	{"sig", "application/pgp-signature"},
	{"sql", "text/plain" UTF8},
	{"srt", "text/plain" UTF8},
	{"svg", "image/svg+xml"},
	{"tar", "application/x-tar"},
	{"tex", "text/plain" UTF8},
	{"tgz", "application/gzip"},
	{"tif", "image/tiff"},
	{"tiff", "image/tiff"},
	{"toml", "text/plain" UTF8},
	{"torrent", "application/x-bittorrent"},
	{"ts", "video/mp2t"},
	{"tsv", "text/tab-separated-values" UTF8},
	{"ttf", "font/ttf"},
	{"txt", "text/plain" UTF8},
	{"vcf", "text/vcard" UTF8},
	{"vtt", "text/vtt" UTF8},
	{"wasm", "application/wasm"},
	{"wav", "audio/wav"},
	{"weba", "audio/webm"},
	{"webm", "video/webm"},
	{"webmanifest", "application/manifest+json"},
	{"webp", "image/webp"},
	{"woff", "font/woff"},
	{"woff2", "font/woff2"},
	{"xhtml", "application/xhtml+xml"},
	{"xls", "application/vnd.ms-excel"},
	{"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
	{"xml", "text/xml" UTF8},
	{"xz", "application/x-xz"},
	{"yaml", "text/plain" UTF8},
	{"yml", "text/plain" UTF8},
	{"zip", "application/zip"},
	{"zst", "application/zstd"},
};

#define MAX_EXT 12

static int compare(const void *key, const void *item)
{
	return strcmp(key, ((const struct mime *)item)->ext);
}

const char *http_mime_type(struct span name)
{
	static const char unknown[] = "application/octet-stream";
	char ext[MAX_EXT + 1];
	size_t n = 0;

	while (n < name.n && name.p[name.n - 1 - n] != '.' && name.p[name.n - 1 - n] != '/') {
		n++;
	}
	/* No dot at all, or nothing before it: a hidden file's name is no extension. */
	if (n == 0 || n > MAX_EXT || n + 1 >= name.n || name.p[name.n - 1 - n] != '.' ||
	    name.p[name.n - 2 - n] == '/') {
		return unknown;
	}
	for (size_t i = 0; i < n; i++) {
		char c = name.p[name.n - n + i];

		ext[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
	}
	ext[n] = '\0';
	const struct mime *found =
		bsearch(ext, table, ARRAY_SIZE(table), sizeof(table[0]), compare);

	return found ? found->type : unknown;
}

bool http_mime_shrinks(const char *type)
{
	static const struct span others[] = {
		SPAN("application/json"),
		SPAN("application/jsonl"),
		SPAN("application/atom+xml"),
		SPAN("application/manifest+json"),
		SPAN("application/postscript"),
		SPAN("application/rss+xml"),
		SPAN("application/wasm"),
		SPAN("application/xhtml+xml"),
		SPAN("font/otf"),
		SPAN("font/ttf"),
		SPAN("image/bmp"),
		SPAN("image/svg+xml"),
		SPAN("image/vnd.microsoft.icon"),
	};
	struct span s = span_str(type);

	if (span_starts(s, SPAN("text/"))) {
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		if (span_eq(s, others[i])) {
			return true;
		}
	}
	return false;
}
