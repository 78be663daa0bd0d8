/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/qr.h"

#include <errno.h>
#include <langinfo.h>
#include <qrencode.h>
#include <stdbool.h>
#include <string.h>

#include "client/out.h"
#include "proto/base/buf.h"

/* Light modules around the code, without which readers do not find it (ISO 18004). */
#define QUIET_ZONE 4

static bool is_dark(const QRcode *code, int x, int y)
{
	return x >= 0 && y >= 0 && x < code->width && y < code->width &&
	       (code->data[y * code->width + x] & 1);
}

/* Two rows of modules in one line of half blocks: what is light is drawn. */
static void add_half_blocks(struct buf *line, const QRcode *code, int y)
{
	for (int x = -QUIET_ZONE; x < code->width + QUIET_ZONE; x++) {
		bool top = is_dark(code, x, y), bottom = is_dark(code, x, y + 1);

		buf_add_str(line, top ? (bottom ? " " : "\u2584") : (bottom ? "\u2580" : "\u2588"));
	}
}

static void add_plain(struct buf *line, const QRcode *code, int y)
{
	for (int x = -QUIET_ZONE; x < code->width + QUIET_ZONE; x++) {
		buf_add_str(line, is_dark(code, x, y) ? "  " : "##");
	}
}

void qr_print(const char *text)
{
	QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
	bool blocks = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	bool color = out_style(STYLE_BOLD)[0] != '\0';

	if (!code) {
		out_error("cannot make a QR code: %s", strerror(errno));
		return;
	}
	for (int y = -QUIET_ZONE; y < code->width + QUIET_ZONE; y += blocks ? 2 : 1) {
		struct buf line = BUF_INIT;

		(blocks ? add_half_blocks : add_plain)(&line, code, y);
		out_line("%s%s%s", color ? "\033[97;40m" : "", line.p, color ? "\033[0m" : "");
		buf_wipe(&line);
	}
	explicit_bzero(code->data, (size_t)code->width * (size_t)code->width);
	QRcode_free(code);
}
