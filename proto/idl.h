/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An interface as text, in the interface definition language of varlink.org, and as Markdown. */
#pragma once

#include "proto/base/buf.h"
#include "proto/interface.h"

/* What GetInterfaceDescription answers. */
void idl_write(struct buf *out, const struct interface *i);
/* docs/rpc.md, whole: protocol, methods, types, errors, options. */
void idl_write_docs(struct buf *out, const struct interface *i);
