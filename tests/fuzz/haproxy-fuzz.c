/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The first byte says what the rest is: 's' answers of "show servers state" and, behind a line "---", "show stat",
 * which are then planned over; 'i' an answer of "show info"; 'c' two configurations with a line "---" between them.
 */
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "proxy/haproxy-config.h"
#include "proxy/haproxy-plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char between[] = "\n---\n";

/* Splits `text` in two at the separator; the second is empty when there is none. */
static char *second_part(char *text)
{
	char *at = strstr(text, between);

	if (!at)
		return text + strlen(text);
	at[1] = '\0';
	return at + strlen(between);
}

/* Every line is one command: no control character but its newline, no separator. */
static void check_plan(const struct haproxy_plan *plan)
{
	for (size_t i = 0; i < plan->n_steps; i++) {
		const char *line = plan->steps[i].line;
		size_t len = strlen(line);

		if (!len || line[len - 1] != '\n' || strcspn(line, "\r\n;\\\"'#<") != len - 1)
			abort();
	}
}

static void plan(const struct haproxy_backend *backends, size_t n, const struct haproxy_table *table)
{
	_cleanup_haproxy_plan_ struct haproxy_plan all = { 0 }, guarded = { 0 };

	if (haproxy_plan(backends, n, table, false, &all, NULL) == 0)
		check_plan(&all);
	if (haproxy_plan(backends, n, table, true, &guarded, NULL) == 0)
		check_plan(&guarded);
}

/* Plans for the first backend seen: emptied, and with one server more. */
static void try_answers(char *text)
{
	_cleanup_haproxy_table_ struct haproxy_table table = { 0 };
	char *stat = second_part(text), *name;
	char server_name[] = "web-1.1", address[] = "192.0.2.1";
	struct haproxy_server server = {
		.name = server_name, .address = address, .port = 80, .weight = 1, .check = true
	};
	struct haproxy_backend backend = { 0 };

	if (haproxy_read_state(text, &table, NULL) < 0 || haproxy_read_stat(stat, &table, NULL) < 0)
		return;
	for (size_t i = 0; i < table.n; i++)
		if (!haproxy_table_find(&table, table.rows[i].backend, table.rows[i].server))
			abort();
	name = table.n ? table.rows[0].backend : table.backends.n ? table.backends.v[0] : NULL;
	if (!name)
		return;
	backend.name = name;
	plan(&backend, 1, &table);
	backend.servers = &server;
	backend.n_servers = 1;
	plan(&backend, 1, &table);
}

static void try_info(const char *text)
{
	struct haproxy_info info;

	if (haproxy_read_info(text, &info, NULL) == 0)
		haproxy_info_release(&info);
}

static void try_config(char *text)
{
	_cleanup_(haproxy_config_freep) struct haproxy_config *from = NULL, *to = NULL;
	_cleanup_haproxy_table_ struct haproxy_table table = { 0 };
	_cleanup_haproxy_plan_ struct haproxy_plan made = { 0 };
	char *other = second_part(text);
	const struct haproxy_backend *backends;
	size_t n;

	if (haproxy_config_parse(text, strlen(text), &from, NULL) < 0 ||
	    haproxy_config_parse(other, strlen(other), &to, NULL) < 0)
		return;
	if (haproxy_config_compare(from, from, NULL) != HAPROXY_SAME ||
	    haproxy_config_compare(to, to, NULL) != HAPROXY_SAME)
		abort();
	if (haproxy_config_compare(from, to, NULL) != haproxy_config_compare(to, from, NULL))
		abort();
	backends = haproxy_config_backends(to, &n);
	for (size_t i = 0; i < n; i++)
		strv_add(&table.backends, backends[i].name);
	/* What the reader gives must always be sendable. */
	if (haproxy_plan(backends, n, &table, false, &made, NULL) < 0)
		abort();
	check_plan(&made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(freep) char *text = NULL;

	if (!size)
		return 0;
	text = xstrndup((const char *)data + 1, size - 1);
	switch (data[0]) {
	case 's':
		try_answers(text);
		break;
	case 'i':
		try_info(text);
		break;
	case 'c':
		try_config(text);
		break;
	}
	return 0;
}
