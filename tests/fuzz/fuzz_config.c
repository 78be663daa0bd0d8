/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config.h"

#include <string.h>

#include "proto/base/alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	struct config config;

	config_init(&config);
	/* A refusal says where and why. */
	if (config_parse(&config, "input", span_of((const char *)data, n), &err) < 0 &&
	    (!err.text || strncmp(err.text, "input:", 6) != 0)) {
		__builtin_trap();
	}
	config_done(&config);
	return 0;
}
