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
	bool as_built; /* root, /dev and /run are those that a build gets */
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

static int put_together_as_built(const char *dir, const char *root, struct err *err)
{
	static const char *const links[] = { "bin", "sbin", "lib", "lib64" };
	_cleanup_(freep) char *lower = fs_join(dir, "lower"), *usr = fs_join(root, "usr"), *upper = NULL;
	_cleanup_strv_ struct strv lowers = { 0 };
	int r;

	strv_add(&lowers, lower);
	scratch_directory(dir, "lower/usr", 0755);
	scratch_directory(dir, "lower/tmp", 01777);
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		_cleanup_(freep) char *from = xasprintf("usr/%s", links[i]), *at = fs_join("lower", links[i]);

		scratch_link(dir, at, from);
	}
	r = sandbox_mount(dir, &lowers, &upper, err);
	if (r == 0)
		r = sandbox_furnish(dir, err);
	return r == 0 && mount("/usr", usr, NULL, MS_BIND, NULL) < 0 ? -1 : r;
}

static int in_sandbox(void *data, struct err *err)
{
	struct trial *trial = data;
	_cleanup_(freep) char *root = fs_join(trial->dir, "root");
	_cleanup_strv_ struct strv argv = { 0 };
	struct sandbox sandbox = { .root = root, .log_fd = -1, .deadline = clock_monotonic_ms() + 60000 };

	if (trial->as_built ? put_together_as_built(trial->dir, root, err) < 0
			    : mkdir(root, 0755) < 0 || put_together(root) < 0)
		return -1;
	sandbox_environment(&sandbox.env);
	strv_add_all(&argv, "sh", "-c", trial->script, NULL);
	trial->status = sandbox_run(&sandbox, &argv, &trial->output, err);
	strv_release(&sandbox.env);
	return 0;
}

static void run_trial(struct trial *trial)
{
	_cleanup_err_ struct err err = ERR_INIT;

	trial->status = -1;
	if (sandbox_call(in_sandbox, trial, &err) < 0 || trial->status < 0)
		fail_msg("%s", err_text(&err));
}

static void run(struct trial *trial, void **state, const char *script)
{
	*trial = (struct trial){ .dir = *state, .script = script };
	run_trial(trial);
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

/*
 * What /dev/null is, by its numbers: it stands for the host's disks. A package's script may make it, as dpkg expects,
 * wherever it can write; what counts is that nobody can open it.
 */
static void no_device_that_was_made_can_be_opened(void **state)
{
	struct trial trial = {
		.dir = *state,
		.script = "made=0; for dir in / /tmp /dev /dev/shm /dev/pts /run /run/tepuy-apt /proc /sys; do "
			  "if mknod $dir/made c 1 3 2>/dev/null; then made=$((made + 1)); "
			  "if ( : <$dir/made ) 2>/dev/null || ( : >$dir/made ) 2>/dev/null; then echo $dir; fi; fi; "
			  "done; [ $made -ge 6 ]",
		.as_built = true,
	};

	run_trial(&trial);
	assert_string_equal(buf_text(&trial.output), "");
	assert_int_equal(trial.status, 0);
	buf_release(&trial.output);
}

static void the_devices_that_programs_expect_work(void **state)
{
	struct trial trial = {
		.dir = *state,
		.script = "set -e; echo gone >/dev/null; head -c 1 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c; "
			  "exec 3<>/dev/ptmx; echo x >/dev/full || echo full; echo last",
		.as_built = true,
	};

	run_trial(&trial);
	assert_non_null(strstr(buf_text(&trial.output), "1\n4\n"));
	assert_non_null(strstr(buf_text(&trial.output), "full\nlast\n"));
	assert_int_equal(trial.status, 0);
	buf_release(&trial.output);
}

#define test(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_program_runs),
		test(the_kernel_cannot_be_changed),
		test(nor_mounted_over_or_looked_into),
		test(no_device_that_was_made_can_be_opened),
		test(the_devices_that_programs_expect_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
