/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/receive/refusal.h"

#include <errno.h>
#include <stddef.h>

#include "mode/receive/form.h"

static const struct {
	int status;
	const char *text; /* NULL: form_nothing */
} refusals[] = {
	[REFUSED_NOT] = {200, ""},
	[REFUSED_MALFORMED] = {400, "The submission could not be understood"},
	[REFUSED_NOTHING] = {200, NULL},
	[REFUSED_FILES] = {403, "File uploads are not allowed"},
	[REFUSED_TEXT] = {403, "Messages are not allowed"},
	[REFUSED_TOO_LARGE] = {413, "The submission is larger than is accepted here. "
				    "Please send less at once."},
	[REFUSED_TOO_MANY] = {413, "Too many files at once. Please send them in several "
				   "submissions, or in one archive."},
	[REFUSED_LONG_HEAD] = {413, "Something beside the content of the files is too long, most "
				    "likely a name. Please make it shorter."},
	[REFUSED_CROWDED] = {503, "Too many uploads are on their way at the moment. "
				  "Please try again later."},
	[REFUSED_FULL] = {507, "There is no room for this submission at the moment; nothing of it "
			       "was kept. Please try again later, or send less."},
	[REFUSED_UNWRITABLE] = {503, "Nothing can be kept here at the moment; nothing of the "
				     "submission was. Please try again later, and inform the "
				     "OnionShare user if you can."},
	[REFUSED_FAILED] = {500, "Error uploading, please inform the OnionShare user"},
};

int refusal_status(enum refusal why)
{
	return refusals[why].status;
}

const char *refusal_text(enum refusal why, bool text)
{
	return refusals[why].text ? refusals[why].text : form_nothing(text);
}

enum refusal refusal_of(int error)
{
	switch (error) {
	case -ENOSPC:
	case -EDQUOT:
		return REFUSED_FULL;
	case -EFBIG:
		return REFUSED_TOO_LARGE;
	case -EROFS:
		return REFUSED_UNWRITABLE;
	default:
		return REFUSED_FAILED;
	}
}
