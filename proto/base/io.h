/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "proto/base/span.h"

/* Writes all of s, over EINTR and short counts: 0 or -errno. */
int io_write_all(int fd, struct span s);
