/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/receive/flash.h"

#include "proto/base/alloc.h"
#include "proto/base/crypto.h"

struct flash {
	char token[FLASH_TOKEN_LEN + 1]; /* empty: free */
	uint64_t until_ms;
	struct buf text;
	bool is_error;
};

struct flashes {
	struct flash ring[FLASH_MAX];
	unsigned next;
};

struct flashes *flashes_new(void)
{
	return xnew(struct flashes);
}

static void forget(struct flash *f)
{
	f->token[0] = '\0';
	buf_wipe(&f->text);
}

void flashes_free(struct flashes *set)
{
	for (unsigned i = 0; set && i < FLASH_MAX; i++) {
		forget(&set->ring[i]);
	}
	free(set);
}

/* At most so long, and not in the middle of a character. */
static void add_cut(struct buf *b, struct span text)
{
	size_t n = FLASH_TEXT_MAX;

	if (text.n <= n) {
		buf_add_span(b, text);
		return;
	}
	while (n && ((uint8_t)text.p[n] & 0xc0) == 0x80) {
		n--;
	}
	buf_add(b, text.p, n);
	buf_add_str(b, " ...");
}

void flashes_put(struct flashes *set, uint64_t now_ms, struct span text, bool is_error,
		 char token[static FLASH_TOKEN_LEN + 1])
{
	struct flash *f = &set->ring[set->next];

	set->next = (set->next + 1) % FLASH_MAX;
	forget(f);
	crypto_random_name(f->token, FLASH_TOKEN_LEN);
	f->until_ms = now_ms + FLASH_LIFE_MS;
	f->is_error = is_error;
	add_cut(&f->text, text);
	memcpy(token, f->token, sizeof(f->token));
}

bool flashes_take(struct flashes *set, uint64_t now_ms, struct span token, struct buf *ret,
		  bool *ret_is_error)
{
	for (unsigned i = 0; token.n == FLASH_TOKEN_LEN && i < FLASH_MAX; i++) {
		struct flash *f = &set->ring[i];

		if (f->token[0] && crypto_equal(f->token, token.p, FLASH_TOKEN_LEN)) {
			bool in_time = now_ms < f->until_ms;

			if (in_time) {
				buf_add_span(ret, buf_span(&f->text));
				*ret_is_error = f->is_error;
			}
			forget(f);
			return in_time;
		}
	}
	return false;
}
