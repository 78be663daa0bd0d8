/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The room in HTML: the page for browsers with JavaScript, and for those without it
 * the page around the stream and what goes into the stream, piece by piece. Pure.
 *
 * In the stream nothing can be taken back, so what changes is said again and the
 * style shows the last one: the forms (section), empty again behind what one has said, and
 * the warning that the connection is lost (aside), which appears a while after the
 * last sign of life.
 */
#pragma once

#include "mode/chat/room.h"
#include "proto/base/buf.h"

#define HTML_STREAM_PATH "/plain/room"
#define HTML_SAY_PATH    "/plain/say"

/* title NULL: OnionShare's own, in all of these. */
void html_page(struct buf *b, const char *title);
void html_plain(struct buf *b, const char *title);

void html_stream_begin(struct buf *b, const char *title);
/* secret: the member's, for his forms. first: the cursor goes there. */
void html_forms(struct buf *b, const char *secret, bool first);
/* All but the beginning of the element, which is not the same for everybody. */
void html_event(struct buf *b, const struct room_event *e);
void html_event_begin(struct buf *b, const struct room_event *e, bool own);
/* A sign of life. */
void html_beat(struct buf *b);
void html_stream_end(struct buf *b, enum room_end why);
