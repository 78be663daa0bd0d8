/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a SOCKS port may answer, whole and byte by byte: both ways of cutting
 * give the same end, nothing that belongs to the target is swallowed, and no more is
 * wanted than is needed. The same bytes are read as GETINFO's list of listeners.
 */
#include <assert.h>
#include <stdint.h>

#include "tor/conn.h"
#include "tor/socks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct end {
	enum socks_state state;
	const char *problem;
	size_t left;
};

static struct end run(struct span input, size_t step)
{
	static const struct socks_request request = {"example.com", 443, "user", "password"};
	struct socks_wire w;
	size_t taken = 0;
	int r = socks_wire_init(&w, &request);

	assert(r == 0 && w.out_n == 3);
	w.out_n = 0;
	while (r == 0 && taken < input.n) {
		size_t n = input.n - taken < step ? input.n - taken : step;
		struct span piece = span_of(input.p + taken, n);
		size_t wants = socks_wire_wants(&w);

		assert(wants > 0 && wants <= sizeof(w.in));
		r = socks_wire_feed(&w, &piece);
		assert(n - piece.n > 0);
		taken += n - piece.n;
		assert(w.out_n <= sizeof(w.out));
		w.out_n = 0;
	}
	assert((r > 0) == (w.state == SOCKS_CONNECTED));
	assert((r < 0) == (w.state == SOCKS_BROKEN));
	assert(r <= 0 || socks_wire_wants(&w) == 0);
	return (struct end){w.state, w.problem, input.n - taken};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span input = span_of((const char *)data, size);
	struct end whole = run(input, size ? size : 1), bytes = run(input, 1);
	char chosen[128];
	struct ctl_addr addr;

	assert(whole.state == bytes.state && whole.problem == bytes.problem);
	assert(whole.state != SOCKS_CONNECTED || whole.left == bytes.left);
	socks_choose(input, chosen, sizeof(chosen));
	assert(!chosen[0] || ctl_addr_parse(chosen, &addr, NULL) == 0);
	return 0;
}
