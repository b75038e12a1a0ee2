/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "host/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/text.h"
#include "host/step.h"

#define LOCK_FILE "/run/tepuy-setup.lock"
#define LOCK_WAIT_MS 60000
#define MINUTES(n) ((n)*INT64_C(60000))

struct step_row {
	const char *name;
	step_fn run;
	int64_t bound_ms;
	bool beside; /* it may run while another step does: it mends what that one may hang on */
};

/* clang-format off */
static const struct step_row rows[] = {
	{ "runtime", step_runtime, MINUTES(20) },
	{ "network-confirm", step_network_confirm, MINUTES(3), .beside = true },
	{ "network-undo", step_network_undo, MINUTES(10), .beside = true },
	{ "consul-package", step_consul_package, MINUTES(20) },
	{ "identity", step_identity, MINUTES(3) },
	{ "authority", step_authority, MINUTES(3) },
	{ "sign", step_sign, MINUTES(3) },
	{ "consul", step_consul, MINUTES(3) },
	{ "acl", step_acl, MINUTES(3) },
	{ "agent", step_agent, MINUTES(3) },
	{ "rotate-gossip", step_rotate_gossip, MINUTES(3) },
	{ "gossip", step_gossip, MINUTES(3) },
	{ "remove-host", step_remove_host, MINUTES(3) },
	{ "leave", step_leave, MINUTES(3) },
	{ "images", step_images, MINUTES(20) },
};
/* clang-format on */

const char *const setup_steps[] = { "runtime",     "network-confirm", "network-undo", "consul-package",
				    "identity",    "authority",       "sign",         "consul",
				    "acl",         "agent",           "gossip",       "rotate-gossip",
				    "remove-host", "leave",           "images",       NULL };

const char *setup_state_name(enum setup_state state)
{
	static const char *const names[] = { "begin", "done", "unchanged", "failed", "waiting", "pending" };

	return names[state];
}

/* "4711 (apt-get upgrade)" of the process that wrote its number into the lock. */
static char *holder(int fd)
{
	char number[32] = "";
	ssize_t n = pread(fd, number, sizeof(number) - 1, 0);

	if (n < 0)
		n = 0;
	number[n] = '\0';
	number[strcspn(number, "\n")] = '\0';
	return xstrdup(*number ? number : "?");
}

static int take_lock(struct step *step, int *ret_fd, struct err *err)
{
	_cleanup_(closep) int fd = open(LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int64_t until = clock_monotonic_ms() + LOCK_WAIT_MS;
	char number[32];

	if (fd < 0)
		return err_errno(err, errno, _("Cannot open %s"), LOCK_FILE);
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		_cleanup_(freep) char *who = holder(fd);

		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_errno(err, errno, _("Cannot lock %s"), LOCK_FILE);
		if (clock_monotonic_ms() >= until)
			return err_set(err, EBUSY,
				       _("Another 'tepuy setup' (process %s) works on this host: wait until it ends, "
					 "or end it"),
				       who);
		step_waiting(step, _("Waiting for another 'tepuy setup', process %s"), who);
		usleep(250000);
	}
	snprintf(number, sizeof(number), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, number, strlen(number), 0) < 0)
		return err_errno(err, errno, _("Cannot write %s"), LOCK_FILE);
	*ret_fd = fd;
	fd = -1;
	return 0;
}

static const struct step_row *find_row(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (!strcmp(rows[i].name, name))
			return &rows[i];
	return NULL;
}

int setup_run(const char *name, const json_t *input, setup_tell_fn tell, void *data, json_t **ret, struct err *err)
{
	const struct step_row *row = find_row(name);
	_cleanup_json_ json_t *empty = json_object(), *result = NULL;
	struct step step = { .name = name, .input = input ? input : empty, .tell = tell, .data = data };
	_cleanup_(closep) int lock = -1;
	_cleanup_err_ struct err why = ERR_INIT;
	int r;

	if (!row) {
		const char *meant = text_suggest(name, setup_steps, ARRAY_SIZE(setup_steps) - 1);

		return meant ? err_set(err, ENOENT, _("There is no step '%s'; did you mean '%s'?"), name, meant)
			     : err_set(err, ENOENT, _("There is no step '%s'; docs/setup.md lists them"), name);
	}
	if (!json_is_object(step.input))
		return err_set(err, EINVAL, _("The input of the step %s must be a JSON object"), name);
	if (geteuid() != 0)
		return err_set(err, EPERM, _("Setting a host up needs root: run it with sudo"));
	umask(022);
	r = row->beside ? 0 : take_lock(&step, &lock, err);
	if (r < 0)
		return r;
	step.deadline = clock_monotonic_ms() + row->bound_ms;
	r = row->run(&step, &result, &why);
	if (r < 0) {
		step_failed(&step, r, &why);
		return err_set(err, -r, "%s", err_text(&why));
	}
	*ret = result ? TAKE_PTR(result) : json_object();
	return 0;
}
