/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/chat/nick.h"

#include <string.h>

#include "proto/base/alloc.h"

/* Short, friendly, and spelled as they sound. */
static const char *const firsts[] = {
	"able",    "airy",   "amber",  "azure",  "balmy",  "bold",   "brave",  "breezy",  "bright",
	"brisk",   "busy",   "calm",   "candid", "civil",  "clear",  "clever", "cool",    "cosmic",
	"cozy",    "crisp",  "curly",  "dapper", "daring", "deep",   "dreamy", "eager",   "early",
	"earnest", "easy",   "exact",  "fair",   "famous", "fancy",  "fast",   "fine",    "firm",
	"fleet",   "fond",   "frank",  "free",   "fresh",  "frosty", "full",   "gentle",  "giant",
	"glad",    "golden", "good",   "grand",  "great",  "green",  "handy",  "happy",   "hardy",
	"hearty",  "honest", "humble", "jolly",  "jovial", "joyful", "keen",   "kind",    "large",
	"light",   "lively", "long",   "loyal",  "lucky",  "lunar",  "mellow", "merry",   "mighty",
	"mild",    "modest", "neat",   "nimble", "noble",  "novel",  "open",   "patient", "plain",
	"polite",  "prime",  "proud",  "pure",   "quick",  "quiet",  "rapid",  "ready",   "rosy",
	"round",   "royal",  "safe",   "sandy",  "sharp",  "shiny",  "silver", "simple",  "sleek",
	"smart",   "smooth", "snowy",  "soft",   "solar",  "sound",  "spry",   "stable",  "steady",
	"sunny",   "sweet",  "swift",  "tall",   "tender", "tidy",   "tiny",   "true",    "upbeat",
	"vast",    "velvet", "vital",  "vivid",  "warm",   "whole",  "wide",   "wise",    "witty",
	"young",   "zesty",
};

static const char *const seconds[] = {
	"acorn",    "anchor", "apple",  "arrow",   "aspen",  "badger", "bamboo", "bay",
	"beach",    "beacon", "beaver", "birch",   "bison",  "bloom",  "boat",   "brook",
	"cabin",    "camel",  "canyon", "castle",  "cedar",  "cello",  "cherry", "cliff",
	"cloud",    "clover", "comet",  "coral",   "cove",   "crane",  "creek",  "daisy",
	"dawn",     "deer",   "delta",  "dolphin", "dune",   "eagle",  "ember",  "falcon",
	"fern",     "field",  "finch",  "flute",   "forest", "fox",    "garden", "glacier",
	"grove",    "gull",   "harbor", "hare",    "harp",   "hawk",   "hazel",  "heron",
	"hill",     "honey",  "island", "ivy",     "jade",   "kite",   "koala",  "lake",
	"lantern",  "lark",   "laurel", "leaf",    "lemon",  "lilac",  "lily",   "lion",
	"lynx",     "maple",  "marble", "meadow",  "melon",  "mint",   "moon",   "moss",
	"mountain", "oak",    "oasis",  "ocean",   "olive",  "orchid", "otter",  "owl",
	"panda",    "path",   "pearl",  "pebble",  "pepper", "pine",   "planet", "plum",
	"pond",     "poppy",  "puffin", "quail",   "rabbit", "rain",   "raven",  "reef",
	"ridge",    "river",  "robin",  "sail",    "salmon", "seal",   "spruce", "star",
	"stone",    "summit", "sun",    "swan",    "tiger",  "trout",  "tulip",  "turtle",
	"valley",   "violet", "walnut", "wave",    "willow", "wind",   "wren",   "zebra",
};

_Static_assert(ARRAY_SIZE(firsts) * ARRAY_SIZE(seconds) == NICK_WORDS, "as the header says");

static bool is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_allowed(struct span s)
{
	if (s.n == 0 || s.n > NICK_MAX || s.p[0] == ' ' || s.p[s.n - 1] == ' ') {
		return false;
	}
	for (size_t i = 0; i < s.n; i++) {
		bool second_space = s.p[i] == ' ' && i > 0 && s.p[i - 1] == ' ';

		if (second_space || !(is_letter_or_digit(s.p[i]) || s.p[i] == '_' ||
				      s.p[i] == '-' || s.p[i] == ' ')) {
			return false;
		}
	}
	return true;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* What a character looks like; m looks like two, and is seen to by the caller. */
static char looks(char c)
{
	switch (c) {
	case 'I':
	case '1':
		return 'l';
	case '0':
		return 'o';
	case '_':
	case ' ':
		return '-';
	default:
		return lower(c);
	}
}

static void make_skeleton(struct nick *n)
{
	size_t at = 0;

	for (size_t i = 0; i < n->n; i++) {
		char c = looks(n->text[i]);

		if (c == 'm') {
			n->skeleton[at++] = 'r';
			c = 'n';
		}
		n->skeleton[at++] = c;
	}
	n->skeleton[at] = '\0';
}

bool nick_parse(struct span s, struct nick *ret)
{
	if (!is_allowed(s)) {
		return false;
	}
	*ret = (struct nick){.n = (uint8_t)s.n};
	memcpy(ret->text, s.p, s.n);
	make_skeleton(ret);
	return true;
}

bool nick_clash(const struct nick *a, const struct nick *b)
{
	return span_eq_ci(nick_span(a), nick_span(b)) || strcmp(a->skeleton, b->skeleton) == 0;
}

void nick_words(unsigned which, struct nick *ret)
{
	const char *first = firsts[which % NICK_WORDS / ARRAY_SIZE(seconds)];
	const char *second = seconds[which % ARRAY_SIZE(seconds)];
	size_t n = strlen(first), m = strlen(second);

	*ret = (struct nick){.n = (uint8_t)(n + 1 + m)};
	memcpy(ret->text, first, n);
	ret->text[n] = '-';
	memcpy(ret->text + n + 1, second, m);
	make_skeleton(ret);
}
