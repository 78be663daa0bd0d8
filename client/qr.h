/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* A QR code on stdout, dark on light whatever the terminal's colours. text holds ASCII. */
void qr_print(const char *text);
