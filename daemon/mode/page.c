/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/page.h"

#include "http/content/tmpl.h"
#include "mode/assets.h"

void page_head(struct buf *b, const char *title, struct span meta)
{
	tmpl(b,
	     "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	     "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	     "<meta name=\"color-scheme\" content=\"light dark\">\n{}"
	     "<title>{}</title>\n"
	     "<link rel=\"icon\" href=\"" ASSETS_PATH "icon.svg\" type=\"image/svg+xml\">\n"
	     "<link rel=\"stylesheet\" href=\"" ASSETS_PATH "style.css\">\n"
	     "</head>\n<body>\n<header><img src=\"" ASSETS_PATH "icon.svg\" alt=\"\" "
	     "width=\"36\" height=\"36\"><h1><bdi>{}</bdi></h1></header>\n<main>\n",
	     T_RAW(meta), T_TEXT(span_str(title)), T_TEXT(span_str(title)));
}

void page_foot(struct buf *b)
{
	buf_add_str(b, "</main>\n</body>\n</html>\n");
}
