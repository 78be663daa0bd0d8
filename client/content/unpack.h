/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A zip or tar as the content of a website. It is unpacked here, by who gives it
 * and with no more than his rights: the daemon, which has the keys of all services,
 * does not parse archives of strangers. Nothing is written to a disk on this side;
 * the files go through memory to the daemon, a piece at a time.
 *
 * Names that lead out (absolute, "..") or stand there twice end it, and nothing
 * has changed; links and special files are left out. A bomb ends at 200 times the
 * archive's size above 1 GiB, at a million entries, or where the daemon's disk is full.
 */
#pragma once

#include "client/content/handover.h"

/* By its name: .zip, .tar, .tar.gz, .tgz, .tar.xz, .txz, .tar.zst, .tzst */
bool unpack_is_archive(const char *path);
/* fd: of the archive. Into part 0 of the handover. */
int unpack_archive(int fd, struct handover *h, struct error *err);
