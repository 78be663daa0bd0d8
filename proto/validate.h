/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Is this JSON what the interface's tables say? Used by the daemon for what
 * comes in and (where it is built for testing) for what goes out, and by the
 * client for what the daemon answers.
 */
#pragma once

#include <jansson.h>

#include "proto/base/error.h"
#include "proto/interface.h"

#define VALIDATE_MAX_DEPTH 32u

enum validate_mode {
	VALIDATE_EXACT,   /* a member that the table does not know is an error */
	VALIDATE_LENIENT, /* it is ignored: the other side may be newer */
};

/*
 * object: a JSON object, or NULL for none (as if it were empty). 0, or -EINVAL
 * with ERROR_INVALID_VALUE, whose field is the path to the value
 * ("services[3].state") and whose text says what was expected there.
 */
int validate_object(const struct field *fields, const json_t *object, enum validate_mode mode,
		    struct error *err);
