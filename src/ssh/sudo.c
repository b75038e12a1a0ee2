/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ssh/sudo.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "base/i18n.h"
#include "base/text.h"

enum { MOST_SAID = 8192 };

void sudo_gate_init(struct sudo_gate *gate)
{
	unsigned char random[12] = { 0 };
	_cleanup_(freep) char *hex = NULL;

	RAND_bytes(random, sizeof(random));
	hex = text_hex(random, sizeof(random));
	*gate = (struct sudo_gate){ 0 };
	snprintf(gate->ask, sizeof(gate->ask), "tepuy-ask-%s:", hex);
	snprintf(gate->go, sizeof(gate->go), "tepuy-go-%s:", hex);
}

char *sudo_line(const struct sudo_gate *gate, const struct strv *argv)
{
	_cleanup_strv_ struct strv all = { 0 };

	strv_add_all(&all, "sudo", "-S", "-p", gate->ask, "--", "/bin/sh", "-c", "printf %s \"$0\" >&2; exec \"$@\"",
		     gate->go, NULL);
	strv_copy(&all, argv);
	return remote_quote(&all);
}

enum sudo_event sudo_gate_feed(struct sudo_gate *gate, const char *bytes, size_t len, const char **ret_rest,
			       size_t *ret_len)
{
	char *ask, *go;

	buf_add(&gate->said, bytes, len);
	if (!gate->said.len)
		return SUDO_MORE;
	ask = memmem(gate->said.data, gate->said.len, gate->ask, strlen(gate->ask));
	go = memmem(gate->said.data, gate->said.len, gate->go, strlen(gate->go));
	if (ask && (!go || ask < go)) {
		size_t before = (size_t)(ask - gate->said.data);

		/* What it said before asking once more is why: "Sorry, try again." */
		memmove(ask, ask + strlen(gate->ask), gate->said.len - before - strlen(gate->ask));
		gate->said.len -= strlen(gate->ask);
		gate->said.data[gate->said.len] = '\0';
		gate->asked++;
		return SUDO_ASKS;
	}
	if (go) {
		gate->open = true;
		*ret_rest = go + strlen(gate->go);
		*ret_len = gate->said.len - (size_t)(*ret_rest - gate->said.data);
		return SUDO_OPEN;
	}
	if (gate->said.len > MOST_SAID)
		buf_consume(&gate->said, gate->said.len - MOST_SAID);
	return SUDO_MORE;
}

void sudo_gate_release(struct sudo_gate *gate)
{
	buf_release(&gate->said);
}

bool sudo_needed(const struct remote *remote)
{
	return strcmp(remote->user, "root") != 0;
}

int sudo_password(struct remote *remote, const struct sudo_gate *gate, struct buf *to, struct err *err)
{
	const struct remote_options options = { .ask = remote->ask, .ask_data = remote->ask_data };
	_cleanup_(freep) char *prompt = NULL;

	if (gate->asked > 1) {
		session_wipe(&remote->sudo_password);
		return err_set(err, EPERM, _("sudo on %s did not take the password of %s"), remote->name, remote->user);
	}
	prompt = xasprintf(_("Password for sudo of %s on %s"), remote->user, remote->name);
	if (!remote->sudo_password)
		remote->sudo_password = session_ask(&options, REMOTE_SUDO, remote->name, prompt, NULL);
	if (!remote->sudo_password)
		return err_set(
		    err, EPERM,
		    _("sudo on %s asks for the password of %s, and nobody gave it; run this at a terminal, or "
		      "let the user use sudo without one"),
		    remote->name, remote->user);
	buf_adds(to, remote->sudo_password);
	buf_addc(to, '\n');
	return 0;
}

int sudo_refused(const struct remote *remote, const struct sudo_gate *gate, struct err *err)
{
	_cleanup_(freep) char *said = xstrdup(buf_text(&gate->said));
	size_t n = strlen(said);
	char *last;

	while (n && strchr(" \t\r\n", said[n - 1]))
		said[--n] = '\0';
	last = strrchr(said, '\n');
	last = last ? last + 1 : said;
	text_printable(last, false);
	if (strstr(last, "not found"))
		return err_set(err, EPERM,
			       _("There is no sudo on %s, and %s is not root; install sudo there or log in as root"),
			       remote->name, remote->user);
	return err_set(err, EPERM, _("sudo on %s refused %s: %s"), remote->name, remote->user, *last ? last : "?");
}
