/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The call that makes a service, for saved and one-off ones. */
#pragma once

#include "client/cmd.h"

/*
 * By the options of the command line and the words given as paths. name NULL:
 * the daemon finds one. *ret: the service object.
 */
int create_service(struct ctl *ctl, const char *mode, const char *name, bool ephemeral,
		   char **words, size_t n_words, json_t **ret, struct error *err);
