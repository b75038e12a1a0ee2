/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a program of a build cannot do to its host, though it is root. Needs root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fs.h"
#include "image/sandbox.h"
#include "scratch.h"

struct trial {
	const char *dir;
	const char *script;
	struct buf output;
	int status;
};

/* The host's own programs, as a build has those of its base system. */
static int put_together(const char *root)
{
	static const char *const bound[] = { "usr", "dev" };
	static const char *const links[] = { "bin", "sbin", "lib", "lib64" };

	if (mount("tmpfs", root, "tmpfs", 0, "mode=755") < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(bound); i++) {
		_cleanup_(freep) char *from = xasprintf("/%s", bound[i]), *at = fs_join(root, bound[i]);

		if (mkdir(at, 0755) < 0 || mount(from, at, NULL, MS_BIND | MS_REC, NULL) < 0)
			return -1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		_cleanup_(freep) char *from = xasprintf("usr/%s", links[i]), *at = fs_join(root, links[i]);

		if (symlink(from, at) < 0)
			return -1;
	}
	return 0;
}

static int in_sandbox(void *data, struct err *err)
{
	struct trial *trial = data;
	_cleanup_(freep) char *root = fs_join(trial->dir, "root");
	_cleanup_strv_ struct strv argv = { 0 };
	struct sandbox sandbox = { .root = root, .log_fd = -1, .deadline = clock_monotonic_ms() + 60000 };

	if (mkdir(root, 0755) < 0 || put_together(root) < 0)
		return -1;
	sandbox_environment(&sandbox.env);
	strv_add_all(&argv, "sh", "-c", trial->script, NULL);
	trial->status = sandbox_run(&sandbox, &argv, &trial->output, err);
	strv_release(&sandbox.env);
	return 0;
}

static void run(struct trial *trial, void **state, const char *script)
{
	_cleanup_err_ struct err err = ERR_INIT;

	*trial = (struct trial){ .dir = *state, .script = script, .status = -1 };
	assert_int_equal(sandbox_call(in_sandbox, trial, &err), 0);
	if (trial->status < 0)
		fail_msg("%s", err_text(&err));
}

static void a_program_runs(void **state)
{
	struct trial trial;

	run(&trial, state, "id -u; cat /proc/sys/kernel/hostname; exit 3");
	assert_int_equal(trial.status, 3);
	assert_string_equal(buf_text(&trial.output), "0\ntepuy-build\n");
	buf_release(&trial.output);
}

/* Opened for appending only: should it succeed, nothing is changed. */
static void the_kernel_cannot_be_changed(void **state)
{
	struct trial trial;

	run(&trial, state,
	    "for file in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sys/vm/panic_on_oom "
	    "/proc/sysrq-trigger /proc/irq/default_smp_affinity; do "
	    "if [ -e $file ] && ( : >>$file ) 2>/dev/null; then echo $file; fi; done");
	assert_string_equal(buf_text(&trial.output), "");
	assert_int_equal(trial.status, 0);
	buf_release(&trial.output);
}

static void nor_mounted_over_or_looked_into(void **state)
{
	struct trial trial;

	run(&trial, state,
	    "umount /proc/sys 2>/dev/null && echo unmounted; mount -o remount,rw /proc/sys 2>/dev/null && echo "
	    "writable; "
	    "mount -t proc proc /mnt 2>/dev/null && echo mounted; [ -e /proc/kcore ] && head -c 1 /proc/kcore; true");
	assert_string_equal(buf_text(&trial.output), "");
	buf_release(&trial.output);
}

#define test(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_program_runs),
		test(the_kernel_cannot_be_changed),
		test(nor_mounted_over_or_looked_into),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
