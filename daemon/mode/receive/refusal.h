/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Why a submission is not taken, and what its sender is told. Pure. */
#pragma once

#include <stdbool.h>

enum refusal {
	REFUSED_NOT,
	REFUSED_MALFORMED,
	REFUSED_NOTHING,
	REFUSED_FILES,
	REFUSED_TEXT,
	REFUSED_TOO_LARGE,
	REFUSED_TOO_MANY,
	REFUSED_LONG_HEAD,
	REFUSED_CROWDED,
	REFUSED_FULL,
	REFUSED_UNWRITABLE,
	REFUSED_FAILED,
};

int refusal_status(enum refusal why);
/* text: messages can be sent. */
const char *refusal_text(enum refusal why, bool text);
/* Of an error of the disk, -errno. */
enum refusal refusal_of(int error);
