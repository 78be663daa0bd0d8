/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/receive/form.h"

#include "http/content/tmpl.h"
#include "mode/assets.h"
#include "mode/page.h"

#define TEXT_MAX "524288"
/* Nothing depends on them. */
#define SEND   "<script src=\"" ASSETS_PATH "send.js\" defer></script>\n"
#define PHOTOS "<script src=\"" ASSETS_PATH "photos.js\" defer></script>\n"

_Static_assert(FORM_TEXT_MAX == 524288, "written out in the page's texts");

static void add_flash(struct buf *b, struct span text, bool is_error)
{
	if (text.p) {
		tmpl(b, "<div class=\"flash {}\" role=\"{}\"><p>{}</p></div>\n",
		     T_RAW(is_error ? SPAN("error") : SPAN("info")),
		     T_RAW(is_error ? SPAN("alert") : SPAN("status")), T_TEXT(text));
	}
}

static void add_words(struct buf *b, const struct form *f)
{
	if (f->files && f->text) {
		buf_add_str(b, "<h2>Submit Files or Messages</h2>\n"
			       "<p>You can submit files, a message, or both.</p>\n");
	} else if (f->files) {
		buf_add_str(b, "<h2>Submit Files</h2>\n<p>You can submit files.</p>\n");
	} else {
		buf_add_str(b, "<h2>Submit Messages</h2>\n<p>You can submit a message.</p>\n");
	}
	if (f->text) {
		buf_add_str(b, "<p>Remember, you are accessing this service anonymously! Provide "
			       "contact info if you want a response to the message.</p>\n");
	}
}

void form_page(struct buf *b, const struct form *f)
{
	page_head(b, f->title ? f->title : "OnionShare Dropbox",
		  f->files ? SPAN(SEND PHOTOS) : SPAN(SEND));
	add_flash(b, f->flash, f->flash_is_error);
	buf_add_str(b, "<form class=\"send\" method=\"post\" action=\"/upload\" "
		       "enctype=\"multipart/form-data\">\n");
	add_words(b, f);
	if (f->files) {
		buf_add_str(
			b,
			"<p><label for=\"files\">Files</label>\n"
			"<input type=\"file\" id=\"files\" name=\"file[]\" multiple></p>\n"
			"<noscript><p>Pictures can tell where they were taken.</p></noscript>\n");
	}
	if (f->text) {
		buf_add_str(b, "<p><label for=\"text\">Message</label>\n"
			       "<textarea id=\"text\" name=\"text\" rows=\"8\" "
			       "maxlength=\"" TEXT_MAX "\" placeholder=\"Write a message "
			       "(max length " TEXT_MAX " characters)\"></textarea></p>\n");
	}
	buf_add_str(b,
		    "<p><button class=\"button\" type=\"submit\">Submit</button></p>\n</form>\n");
	page_foot(b);
}

void form_thanks(struct buf *b, struct span flash)
{
	page_head(b, "OnionShare is closed", SPAN(""));
	add_flash(b, flash, false);
	buf_add_str(b, "<div class=\"note\"><p>Thank you for using OnionShare</p>\n"
		       "<p>You may now close this window.</p></div>\n");
	page_foot(b);
}

void form_success(struct buf *b, struct span names, unsigned files, bool message)
{
	if (message) {
		buf_add_str(b, files ? "Message submitted, uploaded " : "Message submitted");
	} else {
		buf_add_str(b, "Uploaded ");
	}
	buf_add_span(b, names);
}

const char *form_nothing(bool text)
{
	return text ? "Nothing submitted or message was too long (> " TEXT_MAX " characters)"
		    : "Nothing submitted";
}
