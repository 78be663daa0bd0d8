/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files with the calls of store.h share, and nobody else sees. */
#pragma once

#include <stdlib.h>

#include "store/statedir.h"
#include "store/thread.h"

struct store {
	struct store_thread *thread;
	struct statedir dir;
	void (*closed)(void *ud);
	void *closed_ud;
};

/* The caller's struct around its member base. */
#define REQUEST(type, req) container_of(req, struct type, base)
