/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a machine says of itself, judged: whatever it is, the report can be shown and written as JSON. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "host/doctor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text)
{
	_cleanup_(freep) char *copy = xstrdup(text);

	text_printable(copy, false);
	if (strcmp(copy, text))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_doctor_ struct doctor_report report = { 0 };
	_cleanup_facts_ struct facts facts = { 0 };
	struct doctor_view view = { .facts = &facts,
				    .remote = true,
				    .asked_ms = 1795370000000,
				    .answered_ms = 1795370002000,
				    .version = "0.1.0",
				    .peer_port = 8470,
				    .now_ms = 1795370000000 };

	facts_parse((const char *)data, size, &facts);
	for (size_t i = 0; i < facts.n; i++)
		check_text(facts.list[i].value);
	doctor_judge(&view, &report);
	for (size_t i = 0; i < report.n; i++) {
		if (!report.list[i].text)
			abort();
		check_text(report.list[i].text);
		if (!*doctor_level_name(report.list[i].level))
			abort();
	}
	return 0;
}
