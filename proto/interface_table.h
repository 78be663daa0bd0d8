/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How the tables of interface.c and interface_varlink.c are written. Nobody else includes this. */
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
