/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * RFC 6455 case by case, in the order of the Autobahn suite's categories, against
 * a peer that echoes texts. Each case runs with all its bytes at once, byte by
 * byte, in pieces of odd sizes, and if it is short cut in two at every place.
 *
 * A script is a list of frames with spaces between them:
 *	T:text  t:text   a text, whole or to be continued
 *	C:text  c:text   the continuation that ends it, or goes on
 *	B:  P:  O:       binary, ping, pong (small: without FIN)
 *	K1000:reason     close; K: without a code, K!hex: with these bytes
 *	[b0]:text        any first byte, in hex
 *	~T:…             without a mask        =hex   bytes as they are
 * In a text \xHH is a byte, \_ a space, *N*c is N times c.
 * What is expected is a script too: all that is written, in this order. A K in it
 * means that nothing follows and the connection ends.
 */
#include "unit.h"

#include <ctype.h>

#include "proto/base/codec.h"
#include "tests/lib/ws_mem.h"

struct ws_case {
	const char *name, *sends, *expects;
};

/* --- scripts --- */

static unsigned hex_value(char c)
{
	return (unsigned)(isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10);
}

static void add_text(struct buf *b, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\' && i + 3 < s.n && s.p[i + 1] == 'x') {
			buf_add_char(b, (char)(hex_value(s.p[i + 2]) << 4 | hex_value(s.p[i + 3])));
			i += 3;
		} else if (s.p[i] == '\\' && i + 1 < s.n && s.p[i + 1] == '_') {
			buf_add_char(b, ' ');
			i++;
		} else if (s.p[i] == '*') {
			char *end;
			unsigned long n = strtoul(s.p + i + 1, &end, 10);

			assert_true(*end == '*' && end + 1 < s.p + s.n);
			for (unsigned long k = 0; k < n; k++) {
				buf_add_char(b, end[1]);
			}
			i = (size_t)(end + 1 - s.p);
		} else {
			buf_add_char(b, s.p[i]);
		}
	}
}

static unsigned first_byte(struct span kind)
{
	static const char letters[] = "TCBPOKtcbpok";
	static const unsigned char bytes[] = {0x81, 0x80, 0x82, 0x89, 0x8a, 0x88,
					      0x01, 0x00, 0x02, 0x09, 0x0a, 0x08};
	const char *at = strchr(letters, kind.p[0]);

	if (kind.p[0] == '[') {
		return hex_value(kind.p[1]) << 4 | hex_value(kind.p[2]);
	}
	assert_true(at && *at);
	return bytes[at - letters];
}

/* A frame of a script: its first byte, and its payload in *payload. */
static unsigned parse_frame(struct span word, struct buf *payload)
{
	struct span text = word, kind = span_cut(&text, ':');
	unsigned first = first_byte(kind);

	buf_clear(payload);
	if ((kind.p[0] | 0x20) == 'k' && kind.n > 1) {
		struct span code = span_from(kind, 1);

		if (code.p[0] == '!') {
			uint8_t bytes[8];
			size_t n = (code.n - 1) / 2;

			assert_int_equal(hex_decode(span_from(code, 1), bytes, n), 0);
			buf_add(payload, bytes, n);
		} else {
			uint64_t value;

			assert_int_equal(span_u64(code, 65535, &value), 0);
			buf_add_char(payload, (char)(value >> 8));
			buf_add_char(payload, (char)value);
		}
	}
	add_text(payload, text);
	return first;
}

static bool next_word(struct span *script, struct span *ret)
{
	while (script->p) {
		*ret = span_cut(script, ' ');
		if (ret->n) {
			return true;
		}
	}
	return false;
}

static void add_hex(struct buf *b, struct span hex)
{
	for (size_t i = 0; i + 1 < hex.n; i += 2) {
		buf_add_char(b, (char)(hex_value(hex.p[i]) << 4 | hex_value(hex.p[i + 1])));
	}
}

static void build(const char *script, struct buf *ret)
{
	struct buf payload = BUF_INIT;
	struct span rest = span_str(script), word;

	while (next_word(&rest, &word)) {
		if (word.p[0] == '=') {
			add_hex(ret, span_from(word, 1));
		} else if (word.p[0] == '~') {
			unsigned first = parse_frame(span_from(word, 1), &payload);

			buf_add_char(ret, (char)first);
			buf_add_char(ret, (char)payload.len);
			buf_add_span(ret, buf_span(&payload));
		} else {
			unsigned first = parse_frame(word, &payload);

			ws_mem_frame(ret, first, buf_span(&payload));
		}
	}
	buf_done(&payload);
}

/* --- running --- */

/* What was written, held against the script; NULL: alike. */
static const char *compare(struct ws_mem *m, const char *script)
{
	struct buf payload = BUF_INIT;
	struct span rest = span_str(script), word;
	struct ws_mem_frame_seen seen = {0};
	const char *wrong = NULL;
	bool ends = false;

	while (!wrong && next_word(&rest, &word)) {
		unsigned first = parse_frame(word, &payload);
		int r = ws_mem_next(m, &seen);

		ends = first == 0x88;
		if (r != 1) {
			wrong = r == 0 ? "a frame is missing" : "a broken frame";
		} else if (seen.first != first) {
			wrong = "another frame";
		} else if (!span_eq(seen.payload, buf_span(&payload))) {
			wrong = "another payload";
		}
	}
	if (!wrong && m->out_at != m->io.out.len) {
		wrong = "more than that";
	}
	if (!wrong && ends != (m->io.shut || m->io.closing)) {
		wrong = ends ? "the connection goes on" : "the connection ended";
	}
	if (!wrong && m->closed != (unsigned)ends) {
		wrong = "told of the end wrongly";
	}
	buf_done(&payload);
	return wrong;
}

/* In pieces of that many bytes, but the first piece of that many. */
static void run_cut(const struct ws_case *c, struct span bytes, size_t first, size_t step)
{
	struct ws_mem m;
	const char *wrong;

	ws_mem_open(&m);
	ws_mem_greet(&m);
	for (size_t at = 0, n = first; at < bytes.n; at += n, n = step) {
		n = n < bytes.n - at ? n : bytes.n - at;
		ws_mem_send(&m, span_of(bytes.p + at, n));
	}
	wrong = compare(&m, c->expects);
	ws_mem_close(&m);
	if (wrong) {
		fail_msg("%s (%s): %s; cut at %zu, then every %zu", c->name, c->sends, wrong, first,
			 step);
	}
}

static void run_case(const struct ws_case *c)
{
	struct buf bytes = BUF_INIT;

	build(c->sends, &bytes);
	run_cut(c, buf_span(&bytes), bytes.len, bytes.len);
	if (bytes.len <= 4096) {
		run_cut(c, buf_span(&bytes), 1, 1);
	}
	run_cut(c, buf_span(&bytes), 997, 1499);
	for (size_t i = 1; bytes.len <= 160 && i < bytes.len; i++) {
		run_cut(c, buf_span(&bytes), i, bytes.len);
	}
	buf_done(&bytes);
}

static unsigned n_cases;

static void run_table(const struct ws_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		run_case(&cases[i]);
	}
	n_cases += (unsigned)n;
}

/* A case that is made by a loop. */
__attribute__((format(printf, 3, 4))) static void run_made(const char *name, const char *expects,
							   const char *fmt, ...)
{
	struct buf sends = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&sends, fmt, ap);
	va_end(ap);
	run_case(&(struct ws_case){name, sends.p, expects});
	n_cases++;
	buf_done(&sends);
}

/* --- 1: framing --- */

static void texts_of_all_lengths(void **state)
{
	(void)state;
	static const struct ws_case cases[] = {
		{"1.1.1", "T:", "T:"},
		{"1.1.2", "T:*125*x", "T:*125*x"},
		{"1.1.3", "T:*126*x", "T:*126*x"},
		{"1.1.4", "T:*127*x", "T:*127*x"},
		{"1.1.5", "T:*128*x", "T:*128*x"},
		{"1.1.6", "T:*65535*x", "T:*65535*x"},
		{"1.1.7", "T:*65536*x", "T:*65536*x"},
		{"around the buffer", "T:*4081*x T:*4082*y T:*4096*z T:*4097*w",
		 "T:*4081*x T:*4082*y T:*4096*z T:*4097*w"},
		{"many in one go", "T: T:a T:bb T:ccc T:dddd T:", "T: T:a T:bb T:ccc T:dddd T:"},
	};

	run_table(cases, ARRAY_SIZE(cases));
}

/* Only text is talked here (section 7.4.1: 1003). */
static void binary_is_refused(void **state)
{
	(void)state;
	static const struct ws_case cases[] = {
		{"1.2.1", "B:", "K1003:"},
		{"1.2.2", "B:*125*\xfe", "K1003:"},
		{"1.2.3", "B:*126*\xfe", "K1003:"},
		{"1.2.4", "B:*127*\xfe", "K1003:"},
		{"1.2.5", "B:*128*\xfe", "K1003:"},
		{"1.2.6", "B:*65535*\xfe", "K1003:"},
		{"1.2.7", "B:*65536*\xfe", "K1003:"},
		{"1.2.8", "b:a C:b T:c", "K1003:"},
		{"behind a text", "T:x B:a T:y", "T:x K1003:"},
	};

	run_table(cases, ARRAY_SIZE(cases));
}

static void lengths_are_written_in_the_shortest_way(void **state)
{
	(void)state;
	static const struct ws_case cases[] = {
		{"125 in 16 bits", "=81fe007d00000000", "K1002:"},
		{"0 in 16 bits", "=81fe000000000000", "K1002:"},
		{"65535 in 64 bits", "=81ff000000000000ffff00000000", "K1002:"},
		{"1 in 64 bits", "=81ff00000000000000010000000061", "K1002:"},
		{"the top bit of 64", "=81ff80000000000000010000000061", "K1002:"},
		{"a control frame in 16 bits", "=89fe000000000000", "K1002:"},
		{"2^62 bytes", "=81ff40000000000000000000000061", "K1009:"},
		{"2^63 - 1 bytes", "=81ff7fffffffffffffff0000000061", "K1009:"},
		{"without a mask", "~T:hello", "K1002:"},
		{"a ping without a mask", "~P:hello", "K1002:"},
		{"a close without a mask", "~K1000:", "K1002:"},
		{"without a mask behind good ones", "T:a ~T:b T:c", "T:a K1002:"},
	};

	run_table(cases, ARRAY_SIZE(cases));
}

/* --- 2: pings and pongs --- */

static void pings_are_answered(void **state)
{
	(void)state;
	static const struct ws_case cases[] = {
		{"2.1", "P:", "O:"},
		{"2.2", "P:Hello\\_world", "O:Hello\\_world"},
		{"2.3", "P:\\x00\\xff\\xfe\\xfd\\xfc\\xfb\\x00\\xff",
		 "O:\\x00\\xff\\xfe\\xfd\\xfc\\xfb\\x00\\xff"},
		{"2.4", "P:*125*\xfe", "O:*125*\xfe"},
		{"2.5", "P:*126*\xfe", "K1002:"},
		{"2.6", "P:*125*a T:b", "O:*125*a T:b"},
		{"2.7", "O:", ""},
		{"2.8", "O:unsolicited", ""},
		{"2.9", "O:unsolicited P:asked", "O:asked"},
		{"2.10", "P:0 P:1 P:2 P:3 P:4 P:5 P:6 P:7 P:8 P:9",
		 "O:0 O:1 O:2 O:3 O:4 O:5 O:6 O:7 O:8 O:9"},
		{"a long pong", "O:*125*x T:y", "T:y"},
		{"a pong too long", "O:*126*x", "K1002:"},
		{"before a close", "P:a K1000:", "O:a K1000:"},
	};

	run_table(cases, ARRAY_SIZE(cases));
}

/* --- 3: reserved bits --- */

static void reserved_bits_are_refused(void **state)
{
	(void)state;
	static const unsigned opcodes[] = {0x1, 0x2, 0x8, 0x9, 0xa};

	for (unsigned rsv = 1; rsv <= 7; rsv++) {
		for (size_t i = 0; i < ARRAY_SIZE(opcodes); i++) {
			run_made("3 alone", "K1002:", "[%02x]:", 0x80 | rsv << 4 | opcodes[i]);
		}
		run_made("3 with bytes", "K1002:", "[%02x]:Hello", 0x81 | rsv << 4);
		run_made("3 behind a text", "T:a K1002:", "T:a [%02x]:b P:c", 0x81 | rsv << 4);
		run_made("3 in a message", "K1002:", "t:a [%02x]:b", 0x80 | rsv << 4);
		run_made("3 of a ping in a message", "K1002:", "t:a [%02x]:b C:c", 0x89 | rsv << 4);
	}
}

/* --- 4: opcodes --- */

static void reserved_opcodes_are_refused(void **state)
{
	(void)state;
	for (unsigned op = 3; op <= 15; op = op == 7 ? 11 : op + 1) {
		run_made("4 alone", "K1002:", "[%02x]:", 0x80 | op);
		run_made("4 with bytes", "K1002:", "[%02x]:reserved", 0x80 | op);
		run_made("4 behind a text", "T:a K1002:", "T:a [%02x]: P:b", 0x80 | op);
		run_made("4 behind a text, with bytes", "T:a K1002:", "T:a [%02x]:b P:c",
			 0x80 | op);
		run_made("4 in a message", "K1002:", "t:a [%02x]:b C:c", 0x80 | op);
		run_made("4 without FIN", "K1002:", "[%02x]:b", op);
	}
}

/* --- 5: fragments --- */

static void fragments_are_put_together(void **state)
{
	(void)state;
	static const struct ws_case cases[] = {
		{"5.1", "p:a C:b", "K1002:"},
		{"5.2", "o:a C:b", "K1002:"},
		{"5.1 of a close", "k1000: C:b", "K1002:"},
		{"5.3", "t:fragment1 C:fragment2", "T:fragment1fragment2"},
		{"5.6", "t:fragment1 P:ping C:fragment2", "O:ping T:fragment1fragment2"},
		{"5.7", "t:fragment1 P:ping C:fragment2 T:x", "O:ping T:fragment1fragment2 T:x"},
		{"5.9", "C:none T:x", "K1002:"},
		{"5.10", "C: T:x", "K1002:"},
		{"5.12", "c:none T:x", "K1002:"},
		{"5.13", "c: T:x", "K1002:"},
		{"5.15", "t:1 C:2 c:3 T:4", "T:12 K1002:"},
		{"5.16", "c:1 t:2 C:3 c:4 t:5 C:6", "K1002:"},
		{"5.17", "C:1 t:2 C:3 C:4 t:5 C:6", "K1002:"},
		{"5.18", "t:1 T:2", "K1002:"},
		{"5.18 with a binary", "t:1 B:2", "K1002:"},
		{"5.18 with an open text", "t:1 t:2", "K1002:"},
		{"5.19", "t:1 c:2 P:3 c:4 c:5 P:6 C:7", "O:3 O:6 T:12457"},
		{"5.20", "t:1 c:2 P:3 c:4 c:5 P:6 C:7 T:8", "O:3 O:6 T:12457 T:8"},
		{"a pong within", "t:1 O:2 C:3", "T:13"},
		{"a close within", "t:1 K1000: C:3", "K1000:"},
		{"a bad ping within", "t:1 p:2 C:3", "K1002:"},
		{"6.1.2", "t: c: C:", "T:"},
		{"6.1.3", "t: c:middle C:", "T:middle"},
		{"empty at the ends", "t: c:a c: c:b C:", "T:ab"},
		{"open at the end", "T:a t:b", "T:a"},
		{"two messages", "t:a C:b t:c C:d T:e", "T:ab T:cd T:e"},
		{"large pieces", "t:*5000*a c:*5000*b C:*5000*c", "T:*5000*a*5000*b*5000*c"},
	};

	run_table(cases, ARRAY_SIZE(cases));
}

/* --- 6: UTF-8 --- */

#define HELLO \
	"Hello-\\xc2\\xb5@\\xc3\\x9f\\xc3\\xb6\\xc3\\xa4\\xc3\\xbc\\xc3\\xa0\\xc3\\xa1-UTF-8!!"
#define KOSME "\\xce\\xba\\xe1\\xbd\\xb9\\xcf\\x83\\xce\\xbc\\xce\\xb5"

static void utf8_is_judged_where_it_stands(void **state)
{
	(void)state;
	static const struct ws_case cases[] = {
		{"6.2.1", "T:" HELLO, "T:" HELLO},
		{"6.2.2", "t:Hello-\\xc2\\xb5@\\xc3\\x9f\\xc3 C:\\xb6!",
		 "T:Hello-\\xc2\\xb5@\\xc3\\x9f\\xc3\\xb6!"},
		{"6.2.3", "t:\\xc2 c:\\xb5 c:\\xe1 c:\\xbd C:\\xb9", "T:\\xc2\\xb5\\xe1\\xbd\\xb9"},
		{"6.2.4", "t:\\xf0 c: c:\\x9f c:\\xa7 P:x C:\\x85", "O:x T:\\xf0\\x9f\\xa7\\x85"},
		{"6.3.1", "T:" KOSME "\\xed\\xa0\\x80edited", "K1007:"},
		{"6.3.2", "t:" KOSME " c:\\xed C:\\xa0\\x80", "K1007:"},
		{"6.4.1", "t:" KOSME " c:\\xf4\\x90\\x80\\x80 P:x C:", "K1007:"},
		{"6.4.2", "t:" KOSME "\\xf4 c:\\x90 P:x", "K1007:"},
		/* the frame is not here yet, its failure is */
		{"6.4.3", "=81940000000000000000000000000000f49080", "K1007:"},
		{"6.4.4", "=81940000000000000000000000000000f490", "K1007:"},
		{"cut off", "t:a\\xe1\\xbd C:", "K1007:"},
		{"cut off by the end", "T:a\\xe1\\xbd", "K1007:"},
		{"the next message begins anew", "T:a\\xc3\\xa4 T:\\xc3\\xa4",
		 "T:a\\xc3\\xa4 T:\\xc3\\xa4"},
		{"a ping is no text", "P:\\xff\\xfe", "O:\\xff\\xfe"},
		{"good ones go first", "T:a T:\\xff T:b", "T:a K1007:"},
	};

	run_table(cases, ARRAY_SIZE(cases));
}

static void good_utf8_is_taken(void **state)
{
	(void)state;
	static const char *const texts[] = {
		KOSME,
		"\\x00",
		"\\xc2\\x80",
		"\\xe0\\xa0\\x80",
		"\\xf0\\x90\\x80\\x80",
		"\\x7f",
		"\\xdf\\xbf",
		"\\xef\\xbf\\xbf",
		"\\xf4\\x8f\\xbf\\xbf",
		"\\xed\\x9f\\xbf",
		"\\xee\\x80\\x80",
		"\\xef\\xbf\\xbd",
		"\\xf0\\x9d\\x92\\x9c",
		"\\xef\\xbf\\xbe",
		"\\xf0\\x9f\\xbf\\xbe",
		"\\xf0\\x9f\\xbf\\xbf",
		"\\xf3\\xbf\\xbf\\xbf",
		"\\xe2\\x80\\xae",
		"\\xef\\xbb\\xbf",
		"a\\xc3\\xa4a\\xc3\\xa4aaaaaaaa\\xc3\\xa4",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct buf expects = BUF_INIT;

		buf_printf(&expects, "T:%s T:x%s", texts[i], texts[i]);
		run_made("6.5", expects.p, "T:%s t:x C:%s", texts[i], texts[i]);
		buf_done(&expects);
	}
}

static void bad_utf8_is_refused(void **state)
{
	(void)state;
	static const char *const texts[] = {
		/* too short */
		"\\xce",
		KOSME "\\xce",
		"\\xce\\xba\\xe1",
		"\\xce\\xba\\xe1\\xbd",
		"\\xf0\\x9f\\xa7",
		/* five and six bytes */
		"\\xf8\\x88\\x80\\x80\\x80",
		"\\xfc\\x84\\x80\\x80\\x80\\x80",
		"\\xf7\\xbf\\xbf\\xbf",
		"\\xfb\\xbf\\xbf\\xbf\\xbf",
		"\\xfd\\xbf\\xbf\\xbf\\xbf\\xbf",
		/* above U+10FFFF */
		"\\xf4\\x90\\x80\\x80",
		"\\xf5\\x80\\x80\\x80",
		/* continuations without a beginning */
		"\\x80",
		"\\xbf",
		"\\x80\\xbf",
		"\\x80\\xbf\\x80\\xbf\\x80\\xbf",
		/* beginnings without a continuation */
		"\\xc3\\_\\xc3\\_",
		"\\xe1\\_\\xbd",
		"\\xf0\\_",
		"\\xc0\\_",
		"\\xdf\\xc3\\xa4",
		"\\xe2\\x82\\xe2\\x82\\xac",
		"\\xf0\\x9f\\xa7a",
		/* never */
		"\\xfe",
		"\\xff",
		"\\xfe\\xfe\\xff\\xff",
		"\\xc0",
		"\\xc1",
		"aaaaaaaaaaaaaaaa\\xff",
		/* overlong */
		"\\xc0\\xaf",
		"\\xe0\\x80\\xaf",
		"\\xf0\\x80\\x80\\xaf",
		"\\xc1\\xbf",
		"\\xe0\\x9f\\xbf",
		"\\xf0\\x8f\\xbf\\xbf",
		"\\xc0\\x80",
		"\\xe0\\x80\\x80",
		"\\xf0\\x80\\x80\\x80",
		/* halves of surrogate pairs, and whole ones */
		"\\xed\\xa0\\x80",
		"\\xed\\xad\\xbf",
		"\\xed\\xae\\x80",
		"\\xed\\xaf\\xbf",
		"\\xed\\xb0\\x80",
		"\\xed\\xbe\\x80",
		"\\xed\\xbf\\xbf",
		"\\xed\\xa0\\x80\\xed\\xb0\\x80",
		"\\xed\\xaf\\xbf\\xed\\xbf\\xbf",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		run_made("6.6", "K1007:", "T:%s", texts[i]);
		run_made("6.6 in fragments", "K1007:", "t:x C:%s", texts[i]);
	}
}

/* --- 7: closing --- */

static void closes_are_answered(void **state)
{
	(void)state;
	static const struct ws_case cases[] = {
		{"7.1.1", "T:Hello K1000:", "T:Hello K1000:"},
		{"7.1.2", "K1000: K1000:", "K1000:"},
		{"7.1.3", "K1000: P:late", "K1000:"},
		{"7.1.4", "K1000: T:late", "K1000:"},
		{"7.1.5", "t:open K1000: C:late", "K1000:"},
		{"7.1.6", "T:*60000*x T:y K1000: P:z", "T:*60000*x T:y K1000:"},
		{"7.3.1", "K:", "K:"},
		{"7.3.2", "K!61:", "K1002:"},
		{"7.3.3", "K1000:", "K1000:"},
		{"7.3.4", "K1000:Hello\\_World!", "K1000:"},
		{"7.3.5", "K1000:*123*x", "K1000:"},
		{"7.3.6", "K1000:*124*x", "K1002:"},
		{"7.5.1", "K1000:" KOSME "\\xed\\xa0\\x80x", "K1007:"},
		{"a reason that is UTF-8", "K1000:" KOSME, "K1000:"},
		{"a reason cut off", "K1000:a\\xe1\\xbd", "K1007:"},
		{"bytes behind a failure", "[83]: T:x K1000: P:y", "K1002:"},
	};

	run_table(cases, ARRAY_SIZE(cases));
}

static void close_codes_are_judged(void **state)
{
	(void)state;
	static const unsigned good[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010,
					1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999};
	static const unsigned bad[] = {0,    1,    999,  1004, 1005, 1006,  1015,
				       1016, 1100, 2000, 2999, 5000, 10000, 65535};
	char expects[16];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		snprintf(expects, sizeof(expects), "K%u:", good[i]);
		run_made("7.7", expects, "K%u:", good[i]);
		run_made("7.7 with a reason", expects, "K%u:because", good[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		run_made("7.9", "K1002:", "K%u:", bad[i]);
		run_made("7.9 with a reason", "K1002:", "K%u:because", bad[i]);
	}
}

/* --- 9 and 10: large messages, many fragments --- */

static void messages_have_a_limit(void **state)
{
	(void)state;
	static const struct ws_case cases[] = {
		{"9.1.1", "T:*65536*x", "T:*65536*x"},
		{"9.1.2", "T:*65537*x", "K1009:"},
		{"9.1.3", "T:*1000000*x T:y", "K1009:"},
		{"9.3.1", "t:*65535*x C:y", "T:*65535*xy"},
		{"9.3.2", "t:*65536*x C:", "T:*65536*x"},
		{"9.3.3", "t:*65536*x C:y", "K1009:"},
		{"9.3.4", "t:*40000*x P:a C:*40000*x", "O:a K1009:"},
		{"anew each time", "T:*65536*x T:*65536*y t:*30000*z C:*35536*z",
		 "T:*65536*x T:*65536*y T:*65536*z"},
	};

	run_table(cases, ARRAY_SIZE(cases));
}

static void run_fragments(const char *name, size_t total, size_t size, bool fits)
{
	struct buf sends = BUF_INIT, expects = BUF_INIT;

	for (size_t at = 0; at < total; at += size) {
		size_t n = size < total - at ? size : total - at;

		buf_printf(&sends, "%c:*%zu*x ", at + n == total ? 'C' : at ? 'c' : 't', n);
	}
	buf_printf(&expects, fits ? "T:*%zu*x" : "K1008:", total);
	run_case(&(struct ws_case){name, sends.p, expects.p});
	n_cases++;
	buf_done(&sends);
	buf_done(&expects);
}

static void messages_come_in_fragments_of_any_size(void **state)
{
	(void)state;
	run_fragments("10.1.1", 65536, 1300, true);
	run_fragments("9.3 of 64", 65536, 64, true);
	run_fragments("9.3 of 256", 65536, 256, true);
	run_fragments("9.3 of 1,000", 65536, 1000, true);
	run_fragments("9.3 of 4,096", 65536, 4096, true);
	run_fragments("9.3 of 16,384", 65536, 16384, true);
	run_fragments("1,024 fragments", 1024, 1, true);
	run_fragments("1,025 fragments", 1025, 1, false);
}

static void many_messages_are_answered_in_order(void **state)
{
	(void)state;
	struct buf script = BUF_INIT;

	for (unsigned i = 0; i < 1000; i++) {
		buf_printf(&script, "T:%u ", i);
	}
	run_case(&(struct ws_case){"9.7", script.p, script.p});
	n_cases++;
	buf_done(&script);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_of_all_lengths),
		cmocka_unit_test(binary_is_refused),
		cmocka_unit_test(lengths_are_written_in_the_shortest_way),
		cmocka_unit_test(pings_are_answered),
		cmocka_unit_test(reserved_bits_are_refused),
		cmocka_unit_test(reserved_opcodes_are_refused),
		cmocka_unit_test(fragments_are_put_together),
		cmocka_unit_test(utf8_is_judged_where_it_stands),
		cmocka_unit_test(good_utf8_is_taken),
		cmocka_unit_test(bad_utf8_is_refused),
		cmocka_unit_test(closes_are_answered),
		cmocka_unit_test(close_codes_are_judged),
		cmocka_unit_test(messages_have_a_limit),
		cmocka_unit_test(messages_come_in_fragments_of_any_size),
		cmocka_unit_test(many_messages_are_answered_in_order),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	printf("%u cases\n", n_cases);
	return failed;
}
