/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The words of a command line that are content, put into a call's parameters. */
#pragma once

#include "client/cmd.h"

/*
 * Adds "paths" to params and, where the daemon shall keep a copy (copy) or the only
 * word is an archive (archives: for a website), "handover", which it hands over on
 * ctl->rpc. Else fds are those to send with the call, the caller's to close.
 */
/*
 * The same, once, into a file, for 'publish --from' here and elsewhere; options: of the
 * service.
 */
int content_pack(char **words, size_t n, const char *mode, const json_t *options, const char *file,
		 struct error *err);
/* What was packed is handed over: into params paths, handover and release. *ret_info: of
 * packed_open. */
int content_unpack(struct ctl *ctl, const char *file, const char *mode, json_t *params,
		   json_t **ret_info, struct error *err);
int content_words(struct ctl *ctl, char **words, size_t n, bool copy, bool archives, json_t *params,
		  struct rpc_fds *fds, struct error *err);
