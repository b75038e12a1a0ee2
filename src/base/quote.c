/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/quote.h"

#include <string.h>

void quote_shell(struct buf *buf, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";

	if (*word && strspn(word, plain) == strlen(word)) {
		buf_adds(buf, word);
		return;
	}
	buf_addc(buf, '\'');
	for (; *word; word++)
		if (*word == '\'')
			buf_adds(buf, "'\\''");
		else
			buf_addc(buf, *word);
	buf_addc(buf, '\'');
}
