/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which values an option takes, and how the others are refused. */
#pragma once

#include <jansson.h>

#include "proto/base/error.h"
#include "proto/options.h"

/* -EINVAL and ERROR_INVALID_VALUE of field; fmt says why: "must be ...", "is ...". */
int option_refuse(struct error *err, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int option_refuse_range(const struct option *o, struct error *err);
/* null is always taken: it stands for the default. 0, or -EINVAL as above. */
int option_check_value(const struct option *o, const json_t *value, struct error *err);
