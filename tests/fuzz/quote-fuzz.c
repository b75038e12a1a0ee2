/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Words with NULs between them: a real shell must read the quoted line back as the same words. */
#include <stdint.h>
#include <string.h>

#include "base/run.h"
#include "ssh/remote.h"

enum { MOST = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_strv_ struct strv words = { 0 };
	_cleanup_run_ struct run run = { .most_output = 65536 };
	_cleanup_buf_ struct buf output = { 0 }, wanted = { 0 };
	_cleanup_(freep) char *text = NULL, *line = NULL;

	if (size > MOST)
		return 0;
	text = xcalloc(size + 1, 1);
	if (size)
		memcpy(text, data, size);
	strv_add_all(&words, "printf", "%s\\n", NULL);
	for (size_t at = 0; at <= size; at += strlen(text + at) + 1) {
		strv_add(&words, text + at);
		buf_printf(&wanted, "%s\n", text + at);
	}
	line = remote_quote(&words);
	strv_add_all(&run.argv, "sh", "-c", line, NULL);
	if (run_program(&run, &output, NULL) != 0 || output.len != wanted.len ||
	    memcmp(output.data, wanted.data, wanted.len) != 0)
		abort();
	return 0;
}
