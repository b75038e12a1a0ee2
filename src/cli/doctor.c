/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/doctor.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "agent/peer-server.h"
#include "base/i18n.h"
#include "base/run.h"
#include "base/text.h"
#include "cli/output.h"

#define ANSWER_MS 90000

void doctor_words(struct strv *argv)
{
	strv_add_all(argv, "sh", "-s", "--", "8300", "8301", "8302", "8500", NULL);
	strv_addf(argv, "%u", PEER_PORT);
}

void doctor_ask_here(struct patient *patient)
{
	_cleanup_run_ struct run run = { .input = facts_script,
					 .input_len = strlen(facts_script),
					 .timeout_ms = ANSWER_MS,
					 .most_output = FACTS_MOST_BYTES };

	doctor_words(&run.argv);
	patient->asked_ms = clock_realtime_ms();
	run_checked(&run, &patient->answer, &patient->err);
	patient->answered_ms = clock_realtime_ms();
}

static int take_answer(void *data, bool is_stderr, const char *bytes, size_t len)
{
	struct patient *patient = data;
	size_t room = FACTS_MOST_BYTES - patient->answer.len;

	if (!is_stderr)
		buf_add(&patient->answer, bytes, len < room ? len : room);
	return 0;
}

int doctor_ask_remote(struct remote *remote, bool sudo, struct patient *patient, struct err *err)
{
	_cleanup_strv_ struct strv argv = { 0 };
	struct remote_command command = { .argv = &argv,
					  .sudo = sudo,
					  .input = facts_script,
					  .input_len = strlen(facts_script),
					  .sink = take_answer,
					  .data = patient,
					  .timeout_ms = ANSWER_MS };
	int status, r;

	doctor_words(&argv);
	buf_release(&patient->answer);
	patient->remote = true;
	patient->asked_ms = clock_realtime_ms();
	r = remote_exec(remote, &command, &status, err);
	patient->answered_ms = clock_realtime_ms();
	if (r == 0 && !patient->answer.len)
		return err_set(err, EIO, _("%s answered nothing: sh ended with status %d"), remote_name(remote),
			       status);
	return r;
}

void doctor_examine(struct patient *patient)
{
	struct doctor_view view = { .facts = &patient->facts,
				    .remote = patient->remote,
				    .machines = patient->machines,
				    .asked_ms = patient->asked_ms,
				    .answered_ms = patient->answered_ms,
				    .version = TEPUY_VERSION,
				    .peer_port = PEER_PORT,
				    .now_ms = clock_realtime_ms() };

	if (patient->err.code)
		return;
	facts_parse(buf_text(&patient->answer), patient->answer.len, &patient->facts);
	doctor_judge(&view, &patient->report);
}

void patient_release(struct patient *patient)
{
	free(patient->name);
	err_release(&patient->err);
	buf_release(&patient->answer);
	facts_release(&patient->facts);
	doctor_release(&patient->report);
}

static const char *level_word(enum doctor_level level)
{
	switch (level) {
	case DOCTOR_OK:
		return _("ok");
	case DOCTOR_WARNING:
		return _("warning");
	case DOCTOR_FAILED:
		return _("failed");
	case DOCTOR_UNKNOWN:
		break;
	}
	return _("unknown");
}

static enum colour level_colour(enum doctor_level level)
{
	static const enum colour colours[] = {
		[DOCTOR_OK] = GREEN,
		[DOCTOR_WARNING] = YELLOW,
		[DOCTOR_FAILED] = RED,
		[DOCTOR_UNKNOWN] = DIM,
	};

	return colours[level];
}

static size_t widest_check(const struct doctor_report *report)
{
	size_t most = 0;

	for (size_t i = 0; i < report->n; i++)
		if (strlen(report->list[i].check) > most)
			most = strlen(report->list[i].check);
	return most;
}

static size_t widest_level(void)
{
	size_t most = 0;

	for (int level = DOCTOR_OK; level <= DOCTOR_UNKNOWN; level++)
		if (output_width(level_word((enum doctor_level)level)) > most)
			most = output_width(level_word((enum doctor_level)level));
	return most;
}

/* "warning  clock-kept  Nothing keeps …", and the advice below it, indented. */
static void add_finding(struct buf *to, const struct cli *cli, const struct doctor_finding *finding, size_t level_width,
			size_t check_width)
{
	const char *word = level_word(finding->level);
	size_t indent = 2 + level_width + 2 + check_width + 2, columns = (size_t)cli_columns(cli);
	_cleanup_buf_ struct buf text = { 0 };

	if (columns < indent + 30)
		columns = indent + 30;
	buf_adds(to, "  ");
	output_colour(to, cli->colour, level_colour(finding->level), word);
	buf_printf(to, "%*s%-*s  ", (int)(level_width - output_width(word) + 2), "", (int)check_width, finding->check);
	output_wrap(&text, finding->text, indent, columns);
	buf_adds(to, buf_text(&text) + strspn(buf_text(&text), " "));
	if (finding->advice)
		output_wrap(to, finding->advice, indent + 2, columns);
}

static void add_counts(struct buf *to, const struct doctor_report *report)
{
	unsigned counts[DOCTOR_UNKNOWN + 1] = { 0 };

	for (size_t i = 0; i < report->n; i++)
		counts[report->list[i].level]++;
	buf_printf(to, _("  ok: %u, warnings: %u, failed: %u, unknown: %u\n"), counts[DOCTOR_OK],
		   counts[DOCTOR_WARNING], counts[DOCTOR_FAILED], counts[DOCTOR_UNKNOWN]);
}

static void add_patient(struct buf *to, const struct cli *cli, const struct patient *patient)
{
	size_t level_width = widest_level(), check_width = widest_check(&patient->report);

	if (patient->name) {
		output_colour(to, cli->colour, BOLD, patient->name);
		buf_addc(to, '\n');
	}
	if (patient->err.code) {
		_cleanup_(freep) char *text = xstrdup(err_text(&patient->err));

		text_printable(text, false);
		buf_adds(to, "  ");
		output_colour(to, cli->colour, RED, level_word(DOCTOR_FAILED));
		buf_printf(to, "  %s\n", text);
		return;
	}
	for (size_t i = 0; i < patient->report.n; i++)
		add_finding(to, cli, &patient->report.list[i], level_width, check_width);
	add_counts(to, &patient->report);
}

static json_t *report_json(const struct patient *patient)
{
	json_t *findings = json_array();

	for (size_t i = 0; i < patient->report.n; i++) {
		const struct doctor_finding *finding = &patient->report.list[i];

		json_array_append_new(findings, json_pack("{ss ss ss ss?}", "check", finding->check, "level",
							  doctor_level_name(finding->level), "text", finding->text,
							  "advice", finding->advice));
	}
	if (patient->err.code)
		return json_pack("{ss? ss so ss}", "host", patient->name, "level", "failed", "findings", findings,
				 "error", err_text(&patient->err));
	return json_pack("{ss? ss so}", "host", patient->name, "level",
			 doctor_level_name(doctor_worst(&patient->report)), "findings", findings);
}

enum status doctor_show(struct cli *cli, const struct patient *patients, size_t n, bool json)
{
	_cleanup_json_ json_t *all = json_array(), *wrapped = NULL;
	_cleanup_buf_ struct buf text = { 0 };
	enum status status = STATUS_DONE;

	for (size_t i = 0; i < n; i++) {
		if (patients[i].err.code || doctor_worst(&patients[i].report) == DOCTOR_FAILED)
			status = STATUS_FAILED;
		if (json)
			json_array_append_new(all, report_json(&patients[i]));
		else
			add_patient(&text, cli, &patients[i]);
	}
	if (json) {
		wrapped = json_pack("{sO}", "hosts", all);
		output_json(cli->out, wrapped);
	} else
		fputs(buf_text(&text), cli->out);
	return status;
}
