/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Programs in a machine, run to their end. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "runtime/xen.h"

#define DEFAULT_MS 60000
#define DEFAULT_MOST (64u << 10)
#define CONNECT_MS 30000

struct exec {
	const struct runtime_exec *asked;
	struct xen_program program;
	struct buf *output;
	size_t most;
	int64_t deadline;
};

static int take_output(void *data, bool is_stderr, const char *bytes, size_t len)
{
	struct exec *exec = data;
	int r = is_stderr ? xen_program_feed(&exec->program, bytes, len, &bytes, &len) : 0;

	if (r < 0 || !len)
		return r;
	if (!is_stderr && exec->asked->output_fd > 0)
		return fs_write_until(exec->asked->output_fd, bytes, len, exec->deadline);
	if (!exec->output)
		return 0;
	buf_add(exec->output, bytes, len);
	if (exec->output->len > 2 * exec->most)
		buf_consume(exec->output, exec->output->len - exec->most);
	return 0;
}

static int run_once(struct xen *xen, const struct xen_node *node, const struct xen_record *record, struct exec *exec,
		    bool *ret_again, struct err *err)
{
	const struct runtime_exec *asked = exec->asked;
	int64_t left = exec->deadline - clock_monotonic_ms();
	struct remote_command command = { .argv = &exec->program.argv,
					  .input = asked->input,
					  .input_len = asked->input ? asked->input_len : 0,
					  .input_fd = asked->input_fd,
					  .hold = &exec->program.hold,
					  .sink = take_output,
					  .data = exec,
					  .timeout_ms = left > 1 ? left : 1 };
	struct remote *remote = NULL;
	bool kept = false;
	int status = 0, r;

	*ret_again = false;
	r = xen_session(xen, node, record->run, false, CONNECT_MS, &remote, &kept, err);
	if (r < 0)
		return r;
	r = remote_exec(remote, &command, &status, err);
	if (r == 0 || r == -ETIMEDOUT)
		xen_session_back(xen, node->name, record->run, remote);
	else
		remote_close(remote);
	/* Nothing began in a session that had died while it was not used. */
	*ret_again = r < 0 && kept && exec->program.hold && r != -ETIMEDOUT && r != -EBADMSG;
	return r < 0 ? r : status;
}

/* The connection broke: does the machine run at all? */
static int explain(struct xen *xen, const char *id, int code, const struct err *why, struct err *err)
{
	bool present = true;

	xen_forget_sessions(xen, id);
	if (xen_domain_runs(xen, id, &present, NULL) == 0 && !present)
		return err_set(err, ESRCH, _("The node %s does not run"), id);
	return err_set(err, -code, "%s", err_text(why));
}

int xen_exec(struct runtime *rt, const char *id, const struct runtime_exec *asked, struct buf *output, struct err *err)
{
	struct xen *xen = xen_of(rt);
	_cleanup_xen_node_ struct xen_node node = { 0 };
	_cleanup_err_ struct err why = ERR_INIT;
	struct xen_record record;
	struct exec exec = { .asked = asked,
			     .output = output,
			     .most = asked->most_output ? asked->most_output : DEFAULT_MOST,
			     .deadline = clock_monotonic_ms() + (asked->timeout_ms ? asked->timeout_ms : DEFAULT_MS) };
	int r = xen_find_running(xen, id, &node, &record, err);
	bool again = true;

	if (r < 0)
		return r;
	xen_program_init(&exec.program, &node, asked->user, asked->argv);
	for (int i = 0; i < XEN_IDLE + 1 && again; i++) {
		xen_program_again(&exec.program);
		r = run_once(xen, &node, &record, &exec, &again, &why);
	}
	if (output && output->len > exec.most)
		buf_consume(output, output->len - exec.most);
	if (r < 0)
		xen_program_signal(xen, &node, record.run, &exec.program, "KILL");
	xen_program_release(&exec.program);
	if (r >= 0)
		return r;
	if (r == -ETIMEDOUT)
		return err_set(err, ETIMEDOUT, _("%s did not end in time in the node and was killed"),
			       asked->argv->v[0]);
	return explain(xen, id, r, &why, err);
}
