/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/i18n.h"
#include "base/text.h"
#include "cli/host-install.h"
#include "cli/host-step.h"

/*
 * One round trip. A machine that is no host yet needs room for Docker, Consul and images (KiB); one that is, for what
 * changes. Of a directory that is not there yet the one above it counts.
 */
static const char script[] =
    "export LC_ALL=C\n"
    "[ -r /etc/os-release ] && . /etc/os-release\n"
    "echo \"id=${ID:-}\" \"version=${VERSION_ID:-}\"\n"
    "echo \"system=${PRETTY_NAME:-$(uname -sr)}\"\n"
    "[ -d /run/systemd/system ] && echo systemd=yes\n"
    "command -v dpkg >/dev/null && echo \"architecture=$(dpkg --print-architecture)\"\n"
    "installed=$(dpkg-query -W -f '${db:Status-Status} ${Version} ${Tepuy-Build}' tepuy 2>/dev/null)\n"
    "case $installed in 'installed '*) echo \"installed=${installed#installed }\" ;; esac\n"
    "[ -z \"$(dpkg --audit 2>/dev/null)\" ] && [ -z \"$(ls /var/lib/dpkg/updates 2>/dev/null)\" ] || echo "
    "interrupted=yes\n"
    "[ -e /etc/apt/apt.conf.d/90tepuy-offline ] && echo offline=yes\n"
    "command -v consul >/dev/null && echo consul=yes\n"
    "systemctl --quiet is-active tepuy-agent.service 2>/dev/null && { echo agent=yes; need=32768; }\n"
    "for d in /usr:${need:-716800} /var/lib:${need:-512000} /var/cache/apt/archives:${need:-256000} "
    "/var/lib/tepuy:${need:-512000} /var/lib/docker:${need:-512000}; do\n"
    "  want=${d#*:} d=${d%:*}; while [ ! -d \"$d\" ]; do d=$(dirname \"$d\"); done\n"
    "  free=$(df -Pk \"$d\" | awk 'NR == 2 { print $4 }')\n"
    "  [ \"${free:-0}\" -ge \"$want\" ] || echo \"room=$d $free $want\"\n"
    "done\n"
    "echo end=yes\n";

/* The value of "name=" at the beginning of a line or behind a space; to the line's end. */
static const char *value_of(const char *text, const char *name, size_t *ret_len)
{
	size_t len = strlen(name);

	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (!strncmp(line, name, len) && line[len] == '=') {
			*ret_len = strcspn(line + len + 1, "\n");
			return line + len + 1;
		}
	return NULL;
}

static char *copy_of(const char *text, const char *name)
{
	size_t len;
	const char *value = value_of(text, name, &len);

	return value ? xstrndup(value, len) : NULL;
}

static bool says_yes(const char *text, const char *name)
{
	_cleanup_(freep) char *value = copy_of(text, name);

	return value && !strcmp(value, "yes");
}

static char *short_of_room(const char *text)
{
	_cleanup_(freep) char *room = copy_of(text, "room");
	uint64_t free_kib, want_kib;
	char directory[256];

	if (!room || sscanf(room, "%255s %" SCNu64 " %" SCNu64, directory, &free_kib, &want_kib) != 3)
		return NULL;
	return xasprintf(_("%s has %" PRIu64 " MiB of free space, and %" PRIu64 " MiB are needed"), directory,
			 free_kib / 1024, want_kib / 1024);
}

int self_parse(const char *text, struct host_self *ret, char **ret_short_of_room, struct err *err)
{
	_cleanup_(freep) char *installed = copy_of(text, "installed"), *id = copy_of(text, "id");
	struct host_self facts = { 0 };

	if (!says_yes(text, "end") || !id)
		return err_set(err, EPROTO,
			       _("The host does not say what it is; its shell may print something of its own"));
	facts.system = copy_of(text, "system");
	facts.architecture = copy_of(text, "architecture");
	if (installed) {
		size_t len = strcspn(installed, " ");

		facts.installed = xstrndup(installed, len);
		facts.build = installed[len] ? xstrdup(installed + len + 1) : NULL;
	}
	facts.interrupted = says_yes(text, "interrupted");
	facts.offline = says_yes(text, "offline");
	facts.consul = says_yes(text, "consul");
	facts.agent = says_yes(text, "agent");
	facts.systemd = says_yes(text, "systemd");
	*ret_short_of_room = short_of_room(text);
	*ret = facts;
	if (strcmp(id, "debian version=12"))
		return err_set(err, ENOTSUP, _("It runs %s; tepuy prepares Debian 12 (bookworm)"),
			       facts.system ? facts.system : "?");
	return 0;
}

int host_ask_facts(struct cluster *cluster, struct member *host, struct err *err)
{
	_cleanup_(freep) char *room = NULL;
	_cleanup_buf_ struct buf output = { 0 };
	int r;

	cluster_say(cluster, host, PROGRESS_WORKING, _("asking what it is"));
	r = host_run(host, &output, err, "sh", "-c", script, NULL);
	if (r == 0)
		r = self_parse(buf_text(&output), &host->facts, &room, err);
	if (r < 0)
		return r;
	if (!host->facts.systemd)
		return err_set(err, ENOTSUP, _("It was not started by systemd, which runs tepuy's agent"));
	if (room)
		return err_set(err, ENOSPC, _("%s; make room and run this again"), room);
	return 0;
}
