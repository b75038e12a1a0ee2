/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/fleet.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/ask.h"
#include "cli/output.h"

enum { PARALLEL = 32, MOST_PARALLEL = 1000 };

struct runner {
	struct fleet *fleet;
	struct remote_options options;
	size_t first; /* of this batch */
	int64_t most_failures;
	_Atomic size_t failures;
	pthread_mutex_t lock;
};

bool fleet_failed(const struct fleet_result *result)
{
	return result->ended && (result->error || result->status);
}

static void one(void *data, size_t offset)
{
	struct runner *runner = data;
	struct fleet *fleet = runner->fleet;
	size_t index = runner->first + offset;
	struct fleet_result *result = &fleet->results[index];
	_cleanup_(remote_closep) struct remote *remote = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	int64_t start = clock_monotonic_ms();
	int r;

	if ((int64_t)atomic_load(&runner->failures) > runner->most_failures)
		return;
	result->begun = true;
	r = remote_open(&fleet->inventory->hosts[index], &runner->options, &remote, &err);
	if (r == 0)
		r = fleet->each(fleet, remote, index, &err);
	if (r < 0)
		result->error = xstrdup(err_text(&err));
	result->ms = clock_monotonic_ms() - start;
	result->ended = true;
	if (fleet_failed(result))
		atomic_fetch_add(&runner->failures, 1);
	pthread_mutex_lock(&runner->lock);
	if (fleet->done)
		fleet->done(fleet, index);
	pthread_mutex_unlock(&runner->lock);
}

static size_t at_least_one(int64_t n)
{
	return n < 1 ? 1 : n > MOST_PARALLEL ? MOST_PARALLEL : (size_t)n;
}

enum status fleet_run(struct fleet *fleet)
{
	const struct arguments *args = fleet->args;
	bool batches = arguments_has(args, "serial") || arguments_has(args, "batch");
	size_t parallel = at_least_one(arguments_number(args, "parallel", PARALLEL)), n = fleet->inventory->n;
	size_t batch = arguments_has(args, "serial") ? 1
		       : batches                     ? at_least_one(arguments_number(args, "batch", 1))
						     : n;
	_cleanup_(ask_freep) struct ask *ask = ask_new();
	struct runner runner = { .fleet = fleet, .options = ask_options(ask) };

	ask_raise_limits();
	runner.most_failures = arguments_number(args, "max-failures", batches ? 0 : INT64_MAX);
	fleet->results = xcalloc(n, sizeof(*fleet->results));
	pthread_mutex_init(&runner.lock, NULL);
	for (; runner.first < n; runner.first += batch) {
		size_t left = n - runner.first;

		remote_fan_out(left < batch ? left : batch, (unsigned)parallel, one, &runner);
	}
	pthread_mutex_destroy(&runner.lock);
	for (size_t i = 0; i < n; i++) {
		fleet->failed += fleet_failed(&fleet->results[i]);
		fleet->good += fleet->results[i].ended && !fleet_failed(&fleet->results[i]);
	}
	return fleet->good == n ? STATUS_DONE : fleet->good ? STATUS_PARTLY : STATUS_FAILED;
}

void fleet_release(struct fleet *fleet)
{
	for (size_t i = 0; fleet->results && i < fleet->inventory->n; i++) {
		free(fleet->results[i].error);
		buf_release(&fleet->results[i].out);
		buf_release(&fleet->results[i].err);
	}
	free(fleet->results);
	fleet->results = NULL;
}

json_t *fleet_json(const struct fleet *fleet, size_t index)
{
	const struct fleet_result *result = &fleet->results[index];
	json_t *row = json_pack("{s:s, s:b, s:I}", "host", fleet->inventory->hosts[index].name, "begun", result->begun,
				"ms", (json_int_t)result->ms);

	json_object_set_new(row, "status",
			    result->ended && !result->error ? json_integer(result->status) : json_null());
	json_object_set_new(row, "error", result->error ? json_string(result->error) : json_null());
	return row;
}

/* Failures that are alike are said once, with the hosts that have them. */
static void list_failed(const struct fleet *fleet, struct buf *to)
{
	for (size_t i = 0; i < fleet->inventory->n; i++) {
		const struct fleet_result *result = &fleet->results[i];

		if (!fleet_failed(result) || result->error)
			continue;
		buf_printf(to, to->len ? ", %s (%d)" : "%s (%d)", fleet->inventory->hosts[i].name, result->status);
	}
}

void fleet_summary(const struct fleet *fleet, int64_t ms)
{
	_cleanup_(freep) char *time = text_ago(ms);
	_cleanup_buf_ struct buf statuses = { 0 };
	size_t n = fleet->inventory->n;

	if (fleet->good == n && n == 1)
		return;
	list_failed(fleet, &statuses);
	if (statuses.len)
		cli_note(fleet->cli, _("Exit status: %s"), buf_text(&statuses));
	if (fleet->good + fleet->failed < n)
		cli_note(fleet->cli, _("%zu of %zu hosts done, %zu failed, %zu not begun, in %s"), fleet->good, n,
			 fleet->failed, n - fleet->good - fleet->failed, time);
	else
		cli_note(fleet->cli, _("%zu of %zu hosts done, %zu failed, in %s"), fleet->good, n, fleet->failed,
			 time);
}
