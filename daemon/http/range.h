/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The Range field (RFC 9110 section 14.2). Ranges that overlap or touch are one (section
 * 15.3.7.2); those that lie apart are ignored, as the RFC permits, and the whole is
 * sent: no browser and no download manager asks for such, what does copes with the
 * whole, and multipart/byteranges would be there for attackers only. Pure.
 */
#pragma once

#include <stdint.h>

#include "proto/base/span.h"

/* More than that are ignored, too. */
#define HTTP_RANGES_MAX 16u

enum http_range_result {
	HTTP_RANGE_WHOLE,         /* malformed, another unit, or several apart: ignored */
	HTTP_RANGE_PART,          /* *ret_offset, *ret_length; at least one byte */
	HTTP_RANGE_UNSATISFIABLE, /* 416 */
};

/* value: of the field. length: of the representation. */
enum http_range_result http_range_parse(struct span value, uint64_t length, uint64_t *ret_offset,
					uint64_t *ret_length);
