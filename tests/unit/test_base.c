/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/arena.h"
#include "base/fsutil.h"
#include "base/list.h"
#include "base/log.h"
#include "proto/base/buf.h"
#include "proto/base/codec.h"
#include "proto/base/crypto.h"
#include "proto/base/io.h"
#include "unit.h"

/* list */

struct item {
	int value;
	struct list link;
};

static int list_sum(const struct list *head, int *order)
{
	int sum = 0, n = 0;

	list_for_each (it, head) {
		const struct item *item = container_of(it, struct item, link);

		order[n++] = item->value;
		sum += item->value;
	}
	return sum;
}

static void a_list_keeps_its_order(void **state)
{
	(void)state;
	struct list head;
	struct item items[3] = {{.value = 1}, {.value = 2}, {.value = 4}};
	int order[3];

	list_init(&head);
	assert_true(list_empty(&head));
	list_append(&head, &items[1].link);
	list_append(&head, &items[2].link);
	list_prepend(&head, &items[0].link);
	assert_int_equal(list_sum(&head, order), 7);
	assert_int_equal(order[0], 1);
	assert_int_equal(order[1], 2);
	assert_int_equal(order[2], 4);
	list_remove(&items[1].link);
	list_remove(&items[1].link);
	assert_int_equal(list_sum(&head, order), 5);
	list_for_each_safe (it, &head) {
		list_remove(it);
	}
	assert_true(list_empty(&head));
	assert_true(list_empty(&items[0].link));
}

/* arena */

static void arena_memory_is_aligned_and_apart(void **state)
{
	(void)state;
	struct arena a = ARENA_INIT;
	unsigned char *p[200];
	size_t sizes[200];

	for (int i = 0; i < 200; i++) {
		sizes[i] = (size_t)(i * 37 % 300);
		p[i] = arena_alloc(&a, sizes[i]);
		assert_int_equal((uintptr_t)p[i] % _Alignof(max_align_t), 0);
		memset(p[i], i, sizes[i]);
	}
	for (int i = 0; i < 200; i++) {
		for (size_t k = 0; k < sizes[i]; k++) {
			assert_int_equal(p[i][k], i);
		}
	}
	arena_done(&a);
	arena_done(&a);
}

static void an_arena_gives_nothing_too(void **state)
{
	(void)state;
	struct arena a = ARENA_INIT;

	assert_non_null(arena_alloc(&a, 0));
	arena_done(&a);
}

static void large_wishes_do_not_waste_the_block_in_use(void **state)
{
	(void)state;
	struct arena a = ARENA_INIT;
	char *small = arena_alloc(&a, 16);
	char *large = arena_zalloc(&a, 100000);
	char *next = arena_alloc(&a, 16);

	assert_ptr_equal(next, small + 16);
	for (int i = 0; i < 100000; i++) {
		assert_int_equal(large[i], 0);
	}
	arena_done(&a);
}

static void a_reset_arena_starts_anew(void **state)
{
	(void)state;
	struct arena a = ARENA_INIT;

	arena_reset(&a);
	char *first = arena_alloc(&a, 100);

	for (int i = 0; i < 50; i++) {
		arena_alloc(&a, 500);
	}
	arena_alloc(&a, 1 << 20);
	assert_true(a.total > 1 << 20);
	arena_reset(&a);
	assert_int_equal(a.total, 0);
	char *again = arena_alloc(&a, 100);

	assert_non_null(first);
	memset(again, 'x', 100);
	arena_reset(&a);
	assert_ptr_equal(arena_alloc(&a, 100), again); /* the small block was kept */
	arena_done(&a);

	arena_alloc(&a, 1 << 20);
	arena_reset(&a);
	assert_null(a.head); /* a large one is not */
	arena_done(&a);
}

static void arena_text_ends_in_nul(void **state)
{
	(void)state;
	struct arena a = ARENA_INIT;
	struct span s = arena_dup(&a, SPAN("a\0b"));
	struct span t = arena_printf(&a, "%s-%d", "x", 5);
	struct span none = arena_dup(&a, SPAN_NONE);

	assert_memory_equal(s.p, "a\0b\0", 4);
	assert_int_equal(s.n, 3);
	assert_string_equal(t.p, "x-5");
	assert_int_equal(t.n, 3);
	assert_string_equal(none.p, "");
	arena_done(&a);
}

/* log */

static struct buf logged;

static void collect(const struct log_line *line)
{
	buf_printf(&logged, "%d:%s\n", (int)line->level, line->text);
	if (line->event != LOG_EVENT_NONE) {
		buf_printf(&logged, "event %d of %s\n", (int)line->event, line->service);
	}
}

static void the_log_keeps_its_level_and_its_lines(void **state)
{
	(void)state;
	log_set_sink(collect);
	log_set_level(LOG_LEVEL_INFO);
	log_debug("unseen %d", 1);
	log_info("one\ntwo\x1b[31m %s", "\xe2\x80\xae");
	log_error("%s", "");
	assert_true(log_enabled(LOG_LEVEL_WARNING));
	assert_false(log_enabled(LOG_LEVEL_DEBUG));
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("seen");
	log_tell(LOG_LEVEL_INFO, LOG_EVENT_SERVICE_RUNNING, "web", "up\n%s", "now");
	log_set_level(LOG_LEVEL_ERROR);
	log_warning("unseen");
	log_tell(LOG_LEVEL_INFO, LOG_EVENT_READY, NULL, "unseen");
	log_set_level(LOG_LEVEL_INFO);
	log_set_sink(NULL);
	assert_string_equal(logged.p, "6:one\\x0atwo\\x1b[31m \\u{202e}\n3:\n7:seen\n"
				      "6:up\\x0anow\nevent 5 of web\n");
	buf_done(&logged);
}

static void log_levels_have_names(void **state)
{
	(void)state;
	enum log_level level = LOG_LEVEL_ERROR;

	assert_int_equal(log_level_parse("debug", &level), 0);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_parse("notice", &level), 0);
	assert_int_equal(level, LOG_LEVEL_NOTICE);
	assert_int_equal(log_level_parse("Debug", &level), -EINVAL);
	assert_int_equal(log_level_parse("", &level), -EINVAL);
	assert_int_equal(level, LOG_LEVEL_NOTICE);
}

static void without_a_sink_the_log_goes_to_stderr(void **state)
{
	(void)state;
	int fds[2], saved = dup(STDERR_FILENO);
	char line[128] = "";

	assert_int_equal(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	log_notice("hello %s", "\a");
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fds[1]);
	assert_true(read(fds[0], line, sizeof(line) - 1) > 0);
	close(fds[0]);
	assert_string_equal(line, "onionshared: notice: hello \\x07\n");
}

/* crypto */

static size_t unhex(const char *hex, uint8_t *ret)
{
	size_t n = strlen(hex) / 2;

	assert_int_equal(hex_decode(span_str(hex), ret, n), 0);
	return n;
}

static void assert_hex(const uint8_t *p, const char *hex)
{
	uint8_t expected[256];

	assert_true(strlen(hex) / 2 <= sizeof(expected));
	assert_memory_equal(p, expected, unhex(hex, expected));
}

static void sha1_of_fips_180(void **state)
{
	(void)state;
	uint8_t d[SHA1_SIZE];

	crypto_sha1(SPAN(""), d);
	assert_hex(d, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
	crypto_sha1(SPAN("abc"), d);
	assert_hex(d, "a9993e364706816aba3e25717850c26c9cd0d89d");
}

static void sha256_of_fips_180(void **state)
{
	(void)state;
	uint8_t d[SHA256_SIZE];

	crypto_sha256(SPAN(""), d);
	assert_hex(d, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	crypto_sha256(SPAN("abc"), d);
	assert_hex(d, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	crypto_sha256(SPAN("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), d);
	assert_hex(d, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void hmac_of_rfc_4231(void **state)
{
	(void)state;
	static const char *const nodes_7[] = {
		"This is a test using a larger than block-size key and a larger than ",
		"block-size data. The key needs to be hashed before being used by the HMAC ",
		"algorithm."};
	uint8_t key[131], data[50], d[SHA256_SIZE];
	struct span one = span_of((const char *)data, sizeof(data));
	struct span parts[3];

	memset(key, 0x0b, 20);
	parts[0] = SPAN("Hi There");
	crypto_hmac_sha256(key, 20, parts, 1, d);
	assert_hex(d, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	parts[0] = SPAN("what do ya want ");
	parts[1] = SPAN_NONE;
	parts[2] = SPAN("for nothing?");
	crypto_hmac_sha256("Jefe", 4, parts, 3, d);
	assert_hex(d, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	memset(data, 0xdd, sizeof(data));
	crypto_hmac_sha256(key, 20, &one, 1, d);
	assert_hex(d, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
	for (uint8_t i = 0; i < 25; i++) {
		key[i] = (uint8_t)(i + 1);
	}
	memset(data, 0xcd, sizeof(data));
	crypto_hmac_sha256(key, 25, &one, 1, d);
	assert_hex(d, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
	memset(key, 0xaa, sizeof(key));
	parts[0] = SPAN("Test Using Larger Than Block-Size Key - Hash Key First");
	crypto_hmac_sha256(key, 131, parts, 1, d);
	assert_hex(d, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	for (int i = 0; i < 3; i++) {
		parts[i] = span_str(nodes_7[i]);
	}
	crypto_hmac_sha256(key, 131, parts, 3, d);
	assert_hex(d, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

static void x25519_of_rfc_7748(void **state)
{
	(void)state;
	uint8_t private_key[X25519_SIZE], public_key[X25519_SIZE];

	unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", private_key);
	crypto_x25519_public(private_key, public_key);
	assert_hex(public_key, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
	unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb", private_key);
	crypto_x25519_public(private_key, public_key);
	assert_hex(public_key, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
	/* Section 5.2: the base point as scalar, the first iteration. */
	unhex("0900000000000000000000000000000000000000000000000000000000000000", private_key);
	crypto_x25519_public(private_key, public_key);
	assert_hex(public_key, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
}

static void assert_shared(const char *secret, const char *peer, const char *expected)
{
	uint8_t private_key[X25519_SIZE], public_key[X25519_SIZE], shared[X25519_SIZE];

	unhex(secret, private_key);
	unhex(peer, public_key);
	assert_int_equal(crypto_x25519_shared(private_key, public_key, shared), 0);
	assert_hex(shared, expected);
}

static void secrets_are_shared_as_in_rfc_7748(void **state)
{
	(void)state;
	assert_shared("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
		      "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
		      "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
	assert_shared("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
		      "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
		      "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
	/* The highest bit of a public key is not looked at. */
	assert_shared("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
		      "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
		      "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");
}

static void nothing_is_shared_with_a_key_of_low_order(void **state)
{
	static const char *const low[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	uint8_t secret[X25519_SIZE], public_key[X25519_SIZE], shared[X25519_SIZE];

	(void)state;
	crypto_x25519_keypair(secret, public_key);
	for (size_t i = 0; i < ARRAY_SIZE(low); i++) {
		unhex(low[i], public_key);
		assert_int_equal(crypto_x25519_shared(secret, public_key, shared), -EINVAL);
	}
}

static void hkdf_of_rfc_5869(void **state)
{
	uint8_t secret[22], salt[13], info[10], okm[42];

	(void)state;
	memset(secret, 0x0b, sizeof(secret));
	unhex("000102030405060708090a0b0c", salt);
	unhex("f0f1f2f3f4f5f6f7f8f9", info);
	crypto_hkdf_sha256(span_of((char *)salt, 13), span_of((char *)secret, 22),
			   span_of((char *)info, 10), okm, sizeof(okm));
	assert_hex(okm, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5"
			"b887185865");
	crypto_hkdf_sha256(SPAN_NONE, span_of((char *)secret, 22), SPAN_NONE, okm, sizeof(okm));
	assert_hex(okm, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395fa"
			"a4b61a96c8");
}

static void key_pairs_are_clamped_fresh_and_belong_together(void **state)
{
	(void)state;
	uint8_t a[2][X25519_SIZE], b[X25519_SIZE], again[X25519_SIZE];

	for (int i = 0; i < 2; i++) {
		crypto_x25519_keypair(a[i], b);
		assert_int_equal(a[i][0] & 7, 0);
		assert_int_equal(a[i][31] & 0xc0, 0x40);
		crypto_x25519_public(a[i], again);
		assert_memory_equal(b, again, X25519_SIZE);
	}
	assert_memory_not_equal(a[0], a[1], X25519_SIZE);
}

static const char sunscreen[] = "Ladies and Gentlemen of the class of '99: If I could offer you "
				"only one tip for the future, sunscreen would be it.";

static void aead_of_rfc_8439(void **state)
{
	(void)state;
	const size_t n = sizeof(sunscreen) - 1;
	uint8_t key[AEAD_KEY_SIZE], nonce[AEAD_NONCE_SIZE], ad[12], sealed[160], plain[160];

	unhex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", key);
	unhex("070000004041424344454647", nonce);
	struct span ad_span = span_of((const char *)ad, unhex("50515253c0c1c2c3c4c5c6c7", ad));

	crypto_aead_seal(key, nonce, ad_span, sunscreen, n, sealed);
	assert_hex(sealed, "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
			   "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
			   "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
			   "3ff4def08e4b7a9de576d26586cec64b6116"
			   "1ae10b594f09e26a7e902ecbd0600691");
	assert_int_equal(crypto_aead_open(key, nonce, ad_span, sealed, n + AEAD_TAG_SIZE, plain),
			 0);
	assert_memory_equal(plain, sunscreen, n);
}

static void what_was_tampered_with_does_not_open(void **state)
{
	(void)state;
	uint8_t key[AEAD_KEY_SIZE] = {1}, nonce[AEAD_NONCE_SIZE] = {2}, sealed[64], plain[64];
	const size_t n = 10 + AEAD_TAG_SIZE;

	crypto_aead_seal(key, nonce, SPAN("service/field"), "0123456789", 10, sealed);
	for (size_t i = 0; i < n; i++) {
		sealed[i] ^= 1;
		assert_int_equal(crypto_aead_open(key, nonce, SPAN("service/field"), sealed, n,
						  plain),
				 -EBADMSG);
		sealed[i] ^= 1;
	}
	/* Moved to another row or field, cut, or for another key. */
	assert_int_equal(crypto_aead_open(key, nonce, SPAN("service/other"), sealed, n, plain),
			 -EBADMSG);
	assert_int_equal(crypto_aead_open(key, nonce, SPAN("service/field"), sealed, n - 1, plain),
			 -EBADMSG);
	assert_int_equal(crypto_aead_open(key, nonce, SPAN("service/field"), sealed, 15, plain),
			 -EBADMSG);
	assert_int_equal(crypto_aead_open(key, nonce, SPAN("service/field"), sealed, 0, plain),
			 -EBADMSG);
	key[0] ^= 1;
	assert_int_equal(crypto_aead_open(key, nonce, SPAN("service/field"), sealed, n, plain),
			 -EBADMSG);
	key[0] ^= 1;
	assert_int_equal(crypto_aead_open(key, nonce, SPAN("service/field"), sealed, n, plain), 0);
	assert_memory_equal(plain, "0123456789", 10);
}

static void nothing_can_be_sealed_too(void **state)
{
	(void)state;
	uint8_t key[AEAD_KEY_SIZE] = {1}, nonce[AEAD_NONCE_SIZE] = {2}, sealed[16], plain[1];

	crypto_aead_seal(key, nonce, SPAN_NONE, NULL, 0, sealed);
	assert_int_equal(crypto_aead_open(key, nonce, SPAN_NONE, sealed, sizeof(sealed), plain), 0);
}

static void random_bytes_differ_and_fill_all(void **state)
{
	(void)state;
	uint8_t a[70000];
	int zero_runs = 0;

	crypto_random(a, 0);
	memset(a, 0, sizeof(a));
	crypto_random(a, sizeof(a));
	for (size_t i = 0; i + 8 <= sizeof(a); i += 8) {
		zero_runs += memcmp(a + i, "\0\0\0\0\0\0\0\0", 8) == 0;
	}
	assert_int_equal(zero_runs, 0);
	assert_true(crypto_random_u64() != crypto_random_u64());
}

static void random_names_have_their_alphabet(void **state)
{
	(void)state;
	char a[65], b[65];

	crypto_random_name(a, 64);
	crypto_random_name(b, 64);
	assert_int_equal(strlen(a), 64);
	assert_int_equal(strspn(a, "abcdefghijklmnopqrstuvwxyz234567"), 64);
	assert_string_not_equal(a, b);
	crypto_random_name(a, 0);
	assert_string_equal(a, "");
}

static void secrets_are_compared_whole_and_wiped(void **state)
{
	(void)state;
	char a[] = "secret", b[] = "secres";

	assert_true(crypto_equal(a, "secret", 6));
	assert_false(crypto_equal(a, b, 6));
	assert_true(crypto_equal(a, b, 5));
	assert_true(crypto_equal(a, b, 0));
	crypto_wipe(a, 6);
	assert_memory_equal(a, "\0\0\0\0\0\0", 6);
}

/* fsutil */

struct tree {
	char *path;
	int fd;
};

static int make_tree(void **state)
{
	struct tree *t = xnew(struct tree);

	t->path = unit_tmpdir();
	t->fd = open(t->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(t->fd >= 0);
	assert_int_equal(mkdirat(t->fd, "share", 0755), 0);
	assert_int_equal(mkdirat(t->fd, "share/sub", 0755), 0);
	unit_write(t->path, "outside", "secret");
	unit_write(t->path, "share/file", "file");
	unit_write(t->path, "share/sub/deep", "deep");
	assert_int_equal(symlinkat("../outside", t->fd, "share/up"), 0);
	assert_int_equal(symlinkat("/etc/passwd", t->fd, "share/absolute"), 0);
	assert_int_equal(symlinkat("file", t->fd, "share/inside"), 0);
	assert_int_equal(symlinkat("sub", t->fd, "share/dirlink"), 0);
	assert_int_equal(symlinkat("loop2", t->fd, "share/loop1"), 0);
	assert_int_equal(symlinkat("loop1", t->fd, "share/loop2"), 0);
	assert_int_equal(symlinkat("/proc/self/root", t->fd, "share/magic"), 0);
	assert_int_equal(mkfifoat(t->fd, "share/fifo", 0644), 0);
	close(t->fd);
	char *share = xasprintf("%s/share", t->path);

	t->fd = open(share, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(share);
	assert_true(t->fd >= 0);
	*state = t;
	return 0;
}

static int remove_tree(void **state)
{
	struct tree *t = *state;

	close(t->fd);
	unit_rmtree(t->path);
	free(t);
	return 0;
}

static void what_lies_beneath_is_opened(void **state)
{
	const struct tree *t = *state;
	static const char *const inside[] = {"file",   "sub/deep",  "sub/../file",
					     "./file", "sub//deep", "sub/./../sub/deep"};
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(inside); i++) {
		int fd = fs_open_file_beneath(t->fd, inside[i], &st);

		assert_true(fd >= 0);
		assert_int_equal(st.st_size, 4);
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
		close(fd);
	}
	for (int i = 0; i < 2; i++) {
		int fd = fs_open_beneath(t->fd, i ? "." : "", O_RDONLY | O_DIRECTORY);
		struct stat root;

		assert_true(fd >= 0);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(fstat(t->fd, &root), 0);
		assert_true(st.st_ino == root.st_ino && st.st_dev == root.st_dev);
		close(fd);
	}
}

static void nothing_outside_is_opened(void **state)
{
	const struct tree *t = *state;
	static const struct {
		const char *path;
		int r;
	} outside[] = {
		{"..", -EXDEV},
		{"../outside", -EXDEV},
		{"sub/../../outside", -EXDEV},
		{"/etc/passwd", -EXDEV},
		{"/", -EXDEV},
		{"up", -ELOOP},
		{"absolute", -ELOOP},
		{"inside", -ELOOP}, /* links are not followed even where they stay inside */
		{"dirlink/deep", -ELOOP},
		{"loop1", -ELOOP},
		{"magic", -ELOOP},
		{"magic/etc/passwd", -ELOOP},
		{"missing", -ENOENT},
		{"file/x", -ENOTDIR},
		{"file/", -ENOTDIR},
	};
	int before = unit_open_fds();

	for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
		assert_int_equal(fs_open_beneath(t->fd, outside[i].path, O_RDONLY), outside[i].r);
		assert_int_equal(fs_open_file_beneath(t->fd, outside[i].path, NULL), outside[i].r);
	}
	assert_int_equal(unit_open_fds(), before);
}

static void only_regular_files_are_read(void **state)
{
	const struct tree *t = *state;
	struct stat st;
	int before = unit_open_fds();

	/* Without a writer, opening a FIFO for reading would block for ever. */
	assert_int_equal(fs_open_file_beneath(t->fd, "fifo", &st), -EINVAL);
	assert_int_equal(fs_open_file_beneath(t->fd, "sub", &st), -EINVAL);
	assert_int_equal(unit_open_fds(), before);
	int fd = fs_open_beneath(t->fd, "fifo", O_PATH);

	assert_true(fd >= 0);
	close(fd);
}

static void nofollow_refuses_the_last_link_only(void **state)
{
	const struct tree *t = *state;
	char *link = xasprintf("%s/share/inside", t->path);
	char *through = xasprintf("%s/share/dirlink/deep", t->path);

	assert_int_equal(fs_open_nofollow(link, O_RDONLY), -ELOOP);
	int fd = fs_open_nofollow(through, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	free(link);
	free(through);
}

static void directories_are_made_with_their_parents(void **state)
{
	const struct tree *t = *state;
	_cleanup_error_ struct error err = ERROR_INIT;
	char *deep = xasprintf("%s/new/a//b/", t->path);
	char *on_file = xasprintf("%s/outside", t->path);
	char *below_file = xasprintf("%s/outside/x", t->path);
	char *top = xasprintf("%s/new", t->path);
	char *open_to_others = xasprintf("%s/open", t->path);
	struct stat st;

	assert_int_equal(fs_mkdir_p(deep, 0700, &err), 0);
	assert_int_equal(fs_mkdir_p(deep, 0755, &err), 0);
	assert_int_equal(stat(top, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700); /* an existing one is left as it is */
	mode_t umask_before = umask(077);

	assert_int_equal(fs_mkdir_p(open_to_others, 0711, &err), 0);
	umask(umask_before);
	assert_int_equal(stat(open_to_others, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_int_equal(fs_mkdir_p("/", 0700, &err), 0);
	assert_int_equal(fs_mkdir_p(on_file, 0700, &err), -ENOTDIR);
	assert_non_null(strstr(error_text(&err), on_file));
	assert_int_equal(fs_mkdir_p(below_file, 0700, &err), -ENOTDIR);
	assert_int_equal(fs_mkdir_p("", 0700, &err), -ENOENT);
	assert_int_equal(fs_mkdir_p("", 0700, NULL), -ENOENT);
	free(deep);
	free(on_file);
	free(below_file);
	free(open_to_others);
	free(top);
}

static void a_written_file_is_whole_or_absent(void **state)
{
	const struct tree *t = *state;
	_cleanup_error_ struct error err = ERROR_INIT;
	char *path = xasprintf("%s/new.conf", t->path), *text = NULL;
	char *nowhere = xasprintf("%s/missing/x", t->path), *dir = xasprintf("%s/share", t->path);
	struct stat st;

	assert_int_equal(fs_write_file(path, SPAN("first"), 0600, &err), 0);
	assert_int_equal(fs_write_file(path, SPAN("a\0b"), 0640, &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(fs_read_file(path, 3, &text), 3);
	assert_memory_equal(text, "a\0b\0", 4);
	free(text);
	assert_int_equal(fs_write_file(nowhere, SPAN("x"), 0600, &err), -ENOENT);
	assert_non_null(strstr(error_text(&err), nowhere));
	assert_true(fs_write_file(dir, SPAN("x"), 0600, &err) < 0);
	/* No temporary file is left behind by success or failure. */
	char *command = xasprintf("test -z \"$(find '%s' -name '*.tmp')\"", t->path);

	assert_int_equal(system(command), 0);
	free(command);
	free(path);
	free(nowhere);
	free(dir);
}

static void reading_is_bounded_and_picky(void **state)
{
	const struct tree *t = *state;
	char *file = xasprintf("%s/outside", t->path), *link = xasprintf("%s/share/up", t->path);
	char *fifo = xasprintf("%s/share/fifo", t->path);
	char *sentinel = (char *)1, *text = sentinel;

	assert_int_equal(fs_read_file(file, 5, &text), -EFBIG);
	assert_int_equal(fs_read_file(link, 100, &text), -ELOOP);
	assert_int_equal(fs_read_file(fifo, 100, &text), -EINVAL);
	assert_int_equal(fs_read_file(t->path, 100, &text), -EINVAL);
	assert_int_equal(fs_read_file("/nonexistent", 100, &text), -ENOENT);
	/* A file that is longer than it says is no file of known length. */
	assert_int_equal(fs_read_file("/proc/self/status", 100000, &text), -EFBIG);
	assert_ptr_equal(text, sentinel);
	assert_int_equal(fs_read_file(file, 6, &text), 6);
	assert_string_equal(text, "secret");
	free(text);
	free(file);
	free(link);
	free(fifo);
}

static void whole_reads_and_writes(void **state)
{
	const struct tree *t = *state;
	char *path = xasprintf("%s/data", t->path), back[8] = "";
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), fds[2];

	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, SPAN("0123456789")), 0);
	assert_int_equal(fs_pread_all(fd, back, 4, 3), 0);
	assert_string_equal(back, "3456");
	assert_int_equal(fs_pread_all(fd, back, 4, 7), -ENODATA);
	assert_int_equal(fs_pread_all(fd, back, 0, 99), 0);
	assert_int_equal(fs_pread_all(-1, back, 1, 0), -EBADF);
	assert_int_equal(io_write_all(-1, SPAN("x")), -EBADF);
	assert_int_equal(fs_sync_dir(t->path), 0);
	assert_int_equal(fs_sync_dir(path), -ENOTDIR);
	/* A full pipe that does not block: what cannot be written is an error, not a short count.
	 */
	assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
	char *much = xcalloc(1, 1 << 20);

	assert_int_equal(io_write_all(fds[1], span_of(much, 1 << 20)), -EAGAIN);
	free(much);
	close(fds[0]);
	close(fds[1]);
	close(fd);
	free(path);
}

#define fs_test(name) cmocka_unit_test_setup_teardown(name, make_tree, remove_tree)

static void a_tree_is_removed_and_links_out_of_it_are_not_followed(void **state)
{
	char *dir = unit_tmpdir();
	_cleanup_free_ char *tree = xasprintf("%s/tree", dir);
	_cleanup_free_ char *sub = xasprintf("%s/tree/a/b", dir);
	_cleanup_free_ char *link = xasprintf("%s/tree/a/out", dir);
	_cleanup_free_ char *kept = xasprintf("%s/kept/file", dir);
	_cleanup_free_ char *kept_dir = xasprintf("%s/kept", dir);
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(fs_mkdir_p(sub, 0700, &err), 0);
	assert_int_equal(fs_mkdir_p(kept_dir, 0700, &err), 0);
	unit_write(sub, "file", "x");
	unit_write(kept_dir, "file", "x");
	assert_int_equal(symlink(kept_dir, link), 0);
	assert_int_equal(fs_remove_tree(tree, FS_ANY_OWNER, &err), 0);
	assert_int_equal(access(tree, F_OK), -1);
	assert_int_equal(access(kept, F_OK), 0);
	assert_int_equal(fs_remove_tree(tree, FS_ANY_OWNER, &err), 0);
	/* Neither a file nor a link is a directory to remove. */
	assert_int_equal(fs_remove_tree(kept, FS_ANY_OWNER, &err), -ENOTDIR);
	assert_int_equal(symlink(kept_dir, tree), 0);
	assert_true(fs_remove_tree(tree, FS_ANY_OWNER, &err) < 0);
	assert_int_equal(access(kept, F_OK), 0);
	error_done(&err);
	unit_rmtree(dir);
}

static void a_tree_that_is_too_deep_is_refused(void **state)
{
	char *dir = unit_tmpdir();
	struct buf path = BUF_INIT;
	struct error err = ERROR_INIT;

	(void)state;
	buf_add_str(&path, dir);
	for (unsigned i = 0; i < FS_TREE_DEPTH; i++) {
		buf_add_str(&path, "/d");
	}
	assert_int_equal(fs_mkdir_p(path.p, 0700, &err), 0);
	assert_int_equal(fs_remove_tree(dir, FS_ANY_OWNER, &err), -ELOOP);
	assert_int_equal(access(path.p, F_OK), 0);
	error_done(&err);
	buf_done(&path);
	unit_rmtree(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tree_is_removed_and_links_out_of_it_are_not_followed),
		cmocka_unit_test(a_tree_that_is_too_deep_is_refused),
		cmocka_unit_test(a_list_keeps_its_order),
		cmocka_unit_test(arena_memory_is_aligned_and_apart),
		cmocka_unit_test(an_arena_gives_nothing_too),
		cmocka_unit_test(large_wishes_do_not_waste_the_block_in_use),
		cmocka_unit_test(a_reset_arena_starts_anew),
		cmocka_unit_test(arena_text_ends_in_nul),
		cmocka_unit_test(the_log_keeps_its_level_and_its_lines),
		cmocka_unit_test(log_levels_have_names),
		cmocka_unit_test(without_a_sink_the_log_goes_to_stderr),
		cmocka_unit_test(sha1_of_fips_180),
		cmocka_unit_test(sha256_of_fips_180),
		cmocka_unit_test(hmac_of_rfc_4231),
		cmocka_unit_test(x25519_of_rfc_7748),
		cmocka_unit_test(secrets_are_shared_as_in_rfc_7748),
		cmocka_unit_test(nothing_is_shared_with_a_key_of_low_order),
		cmocka_unit_test(hkdf_of_rfc_5869),
		cmocka_unit_test(key_pairs_are_clamped_fresh_and_belong_together),
		cmocka_unit_test(aead_of_rfc_8439),
		cmocka_unit_test(what_was_tampered_with_does_not_open),
		cmocka_unit_test(nothing_can_be_sealed_too),
		cmocka_unit_test(random_bytes_differ_and_fill_all),
		cmocka_unit_test(random_names_have_their_alphabet),
		cmocka_unit_test(secrets_are_compared_whole_and_wiped),
		fs_test(what_lies_beneath_is_opened),
		fs_test(nothing_outside_is_opened),
		fs_test(only_regular_files_are_read),
		fs_test(nofollow_refuses_the_last_link_only),
		fs_test(directories_are_made_with_their_parents),
		fs_test(a_written_file_is_whole_or_absent),
		fs_test(reading_is_bounded_and_picky),
		fs_test(whole_reads_and_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
