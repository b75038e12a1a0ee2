/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What xl, a machine's journal and files of the Xen driver may say: the first byte chooses the reader, the second how
 * it is split. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/xen-config.h"
#include "runtime/xen-journal.h"
#include "runtime/xen-node.h"
#include "runtime/xen-unit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int take_piece(void *data, int stream, const char *bytes, size_t len)
{
	buf_add(data, bytes, len);
	return stream == 1 || stream == 2 ? 0 : -1;
}

static void fuzz_journal(const char *bytes, size_t len, size_t step)
{
	_cleanup_buf_ struct buf out = { 0 };
	struct xen_journal journal = { .timestamps = step & 1, .fn = take_piece, .data = &out };
	int r = 0;

	for (size_t i = 0; i < len && r == 0; i += step)
		r = xen_journal_feed(&journal, bytes + i, len - i < step ? len - i : step);
	xen_journal_release(&journal);
}

/* A node that can be read can be written, and what is told to xl of it has one value a line. */
static void fuzz_node(const char *bytes, size_t len)
{
	static const struct xen_disk_line disk = { "/disk", false };
	struct xen_config config = { .kernel = (char *)"/kernel", .initrd = (char *)"/initrd" };
	_cleanup_xen_node_ struct xen_node node = { 0 };
	_cleanup_(freep) char *again = NULL, *text = NULL, *unit = NULL;

	if (xen_node_decode(bytes, len, &node, NULL) < 0)
		return;
	again = xen_node_encode(&node);
	if (!again)
		abort();
	if (xen_encode_config(&config, &node, false, &disk, 1, &text, NULL) == 0 &&
	    (strchr(text, '\'') || strchr(text, '\\')))
		abort();
	xen_unit_text(&node, &unit, NULL);
}

static void fuzz_texts(const char *bytes, size_t len)
{
	_cleanup_(freep) char *text = xstrndup(bytes, len), *value = NULL;
	_cleanup_xen_domains_ struct xen_domains domains = { 0 };
	struct runtime_usage usage;
	struct xen_config config;
	bool memory;
	int code;

	if (xen_decode_usage(text, "tepuy.a.b.1.1", &usage, NULL) == 0 && usage.cpu_ms < 0)
		abort();
	xen_decode_domains(text, &domains, NULL);
	value = xen_info_value(text, "free_memory");
	xen_decode_exit(text, 1, &code, &memory);
	if (xen_config_parse("xen.json", text, strlen(text), &config, NULL) == 0)
		xen_config_release(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data + 2;
	size_t len = size - 2;
	struct xen_record record;

	if (size < 2)
		return 0;
	switch (data[0]) {
	case 'j':
		fuzz_journal(bytes, len, data[1] ? data[1] : 4096);
		break;
	case 'n':
		fuzz_node(bytes, len);
		break;
	case 'r':
		xen_record_decode(bytes, len, &record, NULL);
		break;
	default:
		fuzz_texts(bytes, len);
	}
	return 0;
}
