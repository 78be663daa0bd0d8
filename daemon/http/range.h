/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The Range field (RFC 9110 section 14.2), for one range of bytes. Pure. */
#pragma once

#include <stdint.h>

#include "proto/base/span.h"

enum http_range_result {
	HTTP_RANGE_WHOLE,         /* malformed, another unit, or several: the field is ignored */
	HTTP_RANGE_PART,          /* *ret_offset, *ret_length; at least one byte */
	HTTP_RANGE_UNSATISFIABLE, /* 416 */
};

/* value: of the field. length: of the representation. */
enum http_range_result http_range_parse(struct span value, uint64_t length, uint64_t *ret_offset,
					uint64_t *ret_length);
