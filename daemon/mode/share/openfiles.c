/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/share/openfiles.h"

#include <unistd.h>

void openfiles_init(struct openfiles *o)
{
	*o = (struct openfiles){0};
	for (unsigned k = 0; k < OPENFILES_MAX; k++) {
		o->slots[k].fd = -1;
	}
}

void openfiles_clear(struct openfiles *o)
{
	for (unsigned k = 0; k < OPENFILES_MAX; k++) {
		if (o->slots[k].fd >= 0) {
			close(o->slots[k].fd);
		}
	}
	openfiles_init(o);
}

int openfiles_get(struct openfiles *o, uint32_t i)
{
	for (unsigned k = 0; k < OPENFILES_MAX; k++) {
		if (o->slots[k].fd >= 0 && o->slots[k].i == i) {
			o->slots[k].used = ++o->clock;
			return o->slots[k].fd;
		}
	}
	return -1;
}

void openfiles_put(struct openfiles *o, uint32_t i, int fd)
{
	unsigned oldest = 0;

	for (unsigned k = 0; k < OPENFILES_MAX; k++) {
		/* Two requests may have opened it at once. */
		if (o->slots[k].fd >= 0 && o->slots[k].i == i) {
			oldest = k;
			break;
		}
		if (o->slots[k].used < o->slots[oldest].used) {
			oldest = k;
		}
	}
	if (o->slots[oldest].fd >= 0) {
		close(o->slots[oldest].fd);
	}
	o->slots[oldest].i = i;
	o->slots[oldest].fd = fd;
	o->slots[oldest].used = ++o->clock;
}
