/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The room's language on a WebSocket: JSON in text messages. To the server
 * {"type": "message", "text"} and {"type": "rename", "name"}; to members what
 * talk_write says. Other members of an object beside good ones are ignored.
 */
#pragma once

#include "mode/chat/room.h"
#include "proto/base/buf.h"
#include "proto/base/span.h"

/* One message of m's. Nothing of it is left in memory afterwards. */
void talk_hear(struct room_member *m, struct span json);
void talk_write(struct buf *b, const struct room_event *e);
