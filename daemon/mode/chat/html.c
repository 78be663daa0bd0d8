/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/chat/html.h"

#include "http/content/tmpl.h"
#include "mode/assets.h"
#include "mode/page.h"

#define STYLE      "<link rel=\"stylesheet\" href=\"" ASSETS_PATH "chat.css\">\n"
#define TEXT_MAX   "16384"
#define NAME_INPUT "maxlength=\"64\" autocomplete=\"off\" spellcheck=\"false\" required>"

_Static_assert(ROOM_TEXT_MAX == 16384 && NICK_MAX == 64, "written out in the pages");

static const char *title_of(const char *title)
{
	return title ? title : "OnionShare Chat";
}

void html_page(struct buf *b, const char *title)
{
	page_head(b, title_of(title),
		  SPAN(STYLE "<script src=\"" ASSETS_PATH "chat.js\" defer></script>\n"));
	buf_add_str(
		b,
		"<div id=\"chat\" class=\"chat\" hidden>\n"
		"<div class=\"bar\"><p id=\"status\" role=\"status\">Connecting&hellip;</p>\n"
		"<form id=\"me\"><label for=\"name\">Your name</label>\n"
		"<input id=\"name\" " NAME_INPUT "\n"
		"<button class=\"button\">Change</button></form></div>\n"
		"<div class=\"cols\"><div id=\"log\" class=\"log\" role=\"log\" "
		"aria-live=\"polite\" aria-label=\"Messages\" tabindex=\"0\"></div>\n"
		"<section id=\"people\" class=\"people\" aria-label=\"People in the room\" "
		"tabindex=\"0\">"
		"<h2>Here: <span id=\"count\">0</span></h2><ul id=\"users\"></ul></section></div>\n"
		"<form id=\"say\" class=\"bar\"><label for=\"text\" "
		"class=\"hide\">Message</label>\n"
		"<textarea id=\"text\" rows=\"2\" maxlength=\"" TEXT_MAX "\" dir=\"auto\" "
		"placeholder=\"Write a message\" required></textarea>\n"
		"<button class=\"button\">Send</button></form>\n</div>\n"
		"<noscript><div class=\"note\"><p>This room also works without JavaScript</p>\n"
		"<p>Messages then come into a page that never stops loading.</p>\n"
		"<p><a class=\"button\" href=\"/plain\">Enter the room</a></p></div></noscript>\n");
	page_foot(b);
}

void html_plain(struct buf *b, const char *title)
{
	page_head(b, title_of(title), SPAN(STYLE));
	buf_add_str(b, "<iframe class=\"stream\" src=\"" HTML_STREAM_PATH "\" title=\"The room\">"
		       "</iframe>\n"
		       "<p class=\"hint\">Nothing to see above? <a href=\"" HTML_STREAM_PATH
		       "\">Enter without a frame</a>.</p>\n");
	page_foot(b);
}

void html_stream_begin(struct buf *b, const char *title)
{
	tmpl(b,
	     "<!DOCTYPE html>\n<html lang=\"en\" class=\"whole\">\n<head>\n"
	     "<meta charset=\"utf-8\">\n"
	     "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	     "<meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n"
	     "<link rel=\"stylesheet\" href=\"" ASSETS_PATH "style.css\">\n" STYLE
	     "</head>\n<body class=\"whole\">\n"
	     "<iframe name=\"answer\" title=\"Nothing\" hidden></iframe>\n"
	     "<div class=\"up\" role=\"main\"><div class=\"log\" role=\"log\" aria-live=\"polite\" "
	     "aria-label=\"Messages\">\n",
	     T_TEXT(span_str(title_of(title))));
}

#define FORM                                                          \
	"<form class=\"bar\" method=\"post\" action=\"" HTML_SAY_PATH \
	"\" target=\"answer\" enctype=\"multipart/form-data\">"       \
	"<input type=\"hidden\" name=\"secret\" value=\"{}\">"

void html_forms(struct buf *b, const char *secret, bool first)
{
	tmpl(b,
	     "<section>" FORM "<label><span class=\"hide\">Message</span>"
	     "<input name=\"text\" maxlength=\"" TEXT_MAX "\" dir=\"auto\" autocomplete=\"off\" "
	     "placeholder=\"Write a message\" required{}></label>"
	     "<button class=\"button\">Send</button></form>"
	     "<details><summary>Change your name</summary>" FORM
	     "<label><span class=\"hide\">Your name</span><input name=\"name\" " NAME_INPUT
	     "</label><button class=\"button\">Change</button></form></details></section>\n",
	     T_RAW(span_str(secret)), T_RAW(first ? SPAN(" autofocus") : SPAN("")),
	     T_RAW(span_str(secret)));
}

void html_event_begin(struct buf *b, const struct room_event *e, bool own)
{
	const char *class = "sys";

	if (e->type == ROOM_MESSAGE) {
		class = own ? "msg own" : "msg";
	} else if (e->type == ROOM_ERROR) {
		class = "err";
	}
	buf_printf(b, "<p class=\"%s\">", class);
}

static void add_user(void *ud, struct span name)
{
	tmpl((struct buf *)ud, "<li>{}</li>", T_TEXT(name));
}

void html_event(struct buf *b, const struct room_event *e)
{
	switch (e->type) {
	case ROOM_WELCOME:
		tmpl(b, "You are <b>{}</b>. Nobody can see what was said before.</p>\n",
		     T_TEXT(e->name));
		buf_printf(b, "<details><summary>In the room: %u</summary><ul>",
			   room_members(e->room));
		room_each(e->room, add_user, b);
		buf_add_str(b, "</ul></details>\n");
		return;
	case ROOM_MESSAGE:
		tmpl(b, "<b>{}</b> <bdi>", T_TEXT(e->name));
		tmpl_verbatim(b, e->text);
		buf_add_str(b, "</bdi></p>\n");
		return;
	case ROOM_JOINED:
		tmpl(b, "{} has joined</p>\n", T_TEXT(e->name));
		return;
	case ROOM_LEFT:
		tmpl(b, "{} has left</p>\n", T_TEXT(e->name));
		return;
	case ROOM_RENAMED:
		tmpl(b, "{} is now called <b>{}</b></p>\n", T_TEXT(e->old), T_TEXT(e->name));
		return;
	case ROOM_ERROR:
		tmpl(b, "{}</p>\n", T_TEXT(e->text));
		return;
	}
}

#define AGAIN "<a href=\"" HTML_STREAM_PATH "\">Enter again</a>"

void html_beat(struct buf *b)
{
	buf_add_str(b, "<aside>The connection seems to be lost. " AGAIN "</aside>\n");
}

void html_stream_end(struct buf *b, enum room_end why)
{
	tmpl(b,
	     "<p class=\"err\">{} " AGAIN "</p><section></section><aside hidden></aside>\n"
	     "</div></div>\n</body>\n</html>\n",
	     T_RAW(why == ROOM_END_CLOSED ? SPAN("The room was closed.")
					  : SPAN("You were sent out: too much at once.")));
}
