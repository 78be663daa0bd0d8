/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How the tables of the interface*.c are written. Nobody else includes this. */
#pragma once

#include "proto/interface.h"

#define NULLABLE FIELD_NULLABLE
#define ARRAY    FIELD_ARRAY
#define ADMIN    FIELD_ADMIN

/* A field of a plain kind; a field of a named type. */
#define F(name_, kind_, flags_, doc_)                                             \
	{                                                                         \
		.name = name_, .kind = TYPE_##kind_, .flags = flags_, .doc = doc_ \
	}
#define T(name_, type_, flags_, doc_)                                                           \
	{                                                                                       \
		.name = name_, .kind = TYPE_NAMED, .flags = flags_, .type = &type_, .doc = doc_ \
	}
#define END \
	{   \
	}

/* --- interface_types.c --- */

extern const struct type_def type_mode, type_state, type_goal, type_event_kind, type_direction,
	type_phase, type_key, type_transfers, type_webhook, type_bootstrap, type_bridges,
	type_check_step, type_balance_role, type_descriptor, type_balance_visit,
	type_balance_release, type_counts, type_part_kind, type_file, type_part, type_submission,
	type_entry_kind, type_entry;
/* All of them, NULL at the end. */
extern const struct type_def *const interface_types[];
