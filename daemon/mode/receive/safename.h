/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a visitor calls a file becomes a name that can stand in a directory: one
 * component, UTF-8 in NFC, without controls, invisible and bidi marks, not hidden, no
 * option of a command, at most 255 bytes. Nothing is refused; the letters,
 * whatever their script, and the extension are kept. Pure.
 */
#pragma once

#include "mode/names.h"
#include "proto/base/buf.h"
#include "proto/base/span.h"

#define SAFENAME_MAX 255u

/* Adds the name (never empty) to b. raw: at most some KiB, any bytes. */
void safename(struct buf *b, struct span raw);
/* The same, told apart from all that are in the set, and in it from then on. */
void safename_apart(struct buf *b, struct names *set, struct span raw);
