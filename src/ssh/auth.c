/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Letting ourselves in: agent, key files, keyboard-interactive, password. */
#include <errno.h>
#include <string.h>

#include "base/i18n.h"
#include "base/strv.h"
#include "ssh/identity.h"
#include "ssh/session.h"

enum { MOST_FACTORS = 4, MOST_QUESTIONS = 16 };

struct auth {
	struct opening *opening;
	ssh_session ssh;
	struct strv tried; /* for the message */
	bool locked;       /* a key was left out because nobody gave its passphrase */
	bool asked;        /* the operator was asked for a password */
};

static int broken(const struct auth *auth, struct err *err)
{
	const struct opening *opening = auth->opening;
	const char *why = ssh_get_error(auth->ssh);

	if (!ssh_is_connected(auth->ssh))
		return err_set(err, EACCES, _("%s ended the connection while we logged in as %s: %s"),
			       opening->remote->name, opening->settings.user, why);
	return err_set(err, ETIMEDOUT, _("Logging in to %s as %s failed: %s"), opening->remote->name,
		       opening->settings.user, why);
}

static int try_agent(struct auth *auth)
{
	const struct ssh_settings *settings = &auth->opening->settings;
	const char *socket = getenv("SSH_AUTH_SOCK");

	if (!settings->agent || settings->identities_only || (!settings->identity_agent && (!socket || !*socket)))
		return SSH_AUTH_DENIED;
	if (settings->identity_agent)
		ssh_options_set(auth->ssh, SSH_OPTIONS_IDENTITY_AGENT, settings->identity_agent);
	strv_add(&auth->tried, _("the SSH agent's keys"));
	return ssh_userauth_agent(auth->ssh, NULL);
}

/* A locked key is only worth a passphrase if the host would take it. */
static int try_locked(struct auth *auth, struct identity *identity)
{
	struct opening *opening = auth->opening;
	int r =
	    identity->public_key ? ssh_userauth_try_publickey(auth->ssh, NULL, identity->public_key) : SSH_AUTH_SUCCESS;

	if (r != SSH_AUTH_SUCCESS)
		return r;
	if (!identity_unlock(identity, opening->options, opening->remote->name, &opening->deadline)) {
		auth->locked = true;
		return SSH_AUTH_DENIED;
	}
	return ssh_userauth_publickey(auth->ssh, NULL, identity->key);
}

static int try_file(struct auth *auth, const char *path)
{
	struct identity *identity = identity_get(path);

	if (identity->state == IDENTITY_ABSENT)
		return SSH_AUTH_DENIED;
	strv_add(&auth->tried, path);
	if (identity->state == IDENTITY_READY)
		return ssh_userauth_publickey(auth->ssh, NULL, identity->key);
	return try_locked(auth, identity);
}

static int try_keys(struct auth *auth)
{
	const struct strv *identities = &auth->opening->settings.identities;
	int r = try_agent(auth);

	for (size_t i = 0; r == SSH_AUTH_DENIED && i < identities->n; i++)
		r = try_file(auth, identities->v[i]);
	return r;
}

static char *ask_password(struct auth *auth, const char *prompt)
{
	struct opening *opening = auth->opening;

	auth->asked = true;
	return session_ask(opening->options, REMOTE_PASSWORD, opening->remote->name, prompt, &opening->deadline);
}

static int answer_prompts(struct auth *auth)
{
	int n = ssh_userauth_kbdint_getnprompts(auth->ssh);

	for (int i = 0; i < n; i++) {
		char echo = 0,
		     *answer = ask_password(auth, ssh_userauth_kbdint_getprompt(auth->ssh, (unsigned)i, &echo));
		int r = answer ? ssh_userauth_kbdint_setanswer(auth->ssh, (unsigned)i, answer) : SSH_ERROR;

		session_wipe(&answer);
		if (r < 0)
			return SSH_AUTH_DENIED;
	}
	return SSH_AUTH_INFO;
}

/* A host may ask as often as it likes, also for nothing at all. */
static int try_keyboard(struct auth *auth)
{
	int r = ssh_userauth_kbdint(auth->ssh, NULL, NULL);

	for (int i = 0; r == SSH_AUTH_INFO; i++) {
		r = i < MOST_QUESTIONS ? answer_prompts(auth) : SSH_AUTH_DENIED;
		if (r == SSH_AUTH_INFO)
			r = ssh_userauth_kbdint(auth->ssh, NULL, NULL);
	}
	strv_add(&auth->tried, _("keyboard-interactive"));
	return r;
}

static int try_password(struct auth *auth)
{
	const struct opening *opening = auth->opening;
	_cleanup_(freep) char *prompt =
	    xasprintf(_("Password of %s on %s"), opening->settings.user, opening->remote->name);
	char *password = ask_password(auth, prompt);
	int r;

	if (!password)
		return SSH_AUTH_DENIED;
	strv_add(&auth->tried, _("password"));
	r = ssh_userauth_password(auth->ssh, NULL, password);
	session_wipe(&password);
	return r;
}

/* What the host offers is known once something was tried. */
static int methods(struct auth *auth)
{
	return ssh_userauth_list(auth->ssh, NULL);
}

static int try_all(struct auth *auth)
{
	const struct ssh_settings *settings = &auth->opening->settings;
	int r = SSH_AUTH_DENIED;

	if (settings->public_key)
		r = try_keys(auth);
	if (r != SSH_AUTH_DENIED)
		return r;
	if (!auth->tried.n)
		r = ssh_userauth_none(auth->ssh, NULL);
	if (r != SSH_AUTH_DENIED || !auth->opening->options->ask)
		return r;
	if (settings->keyboard && methods(auth) & SSH_AUTH_METHOD_INTERACTIVE)
		r = try_keyboard(auth);
	if (r == SSH_AUTH_DENIED && settings->password && methods(auth) & SSH_AUTH_METHOD_PASSWORD && !auth->asked)
		r = try_password(auth);
	return r;
}

static char *offered(struct auth *auth)
{
	static const struct {
		int method;
		const char *name;
	} names[] = {
		{ SSH_AUTH_METHOD_PUBLICKEY, "publickey" },
		{ SSH_AUTH_METHOD_INTERACTIVE, "keyboard-interactive" },
		{ SSH_AUTH_METHOD_PASSWORD, "password" },
		{ SSH_AUTH_METHOD_HOSTBASED, "hostbased" },
		{ SSH_AUTH_METHOD_GSSAPI_MIC, "gssapi-with-mic" },
	};
	_cleanup_strv_ struct strv list = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (methods(auth) & names[i].method)
			strv_add(&list, names[i].name);
	return list.n ? strv_join(&list, ", ") : xstrdup("?");
}

static int refused(struct auth *auth, struct err *err)
{
	const struct opening *opening = auth->opening;
	_cleanup_(freep) char *tried = strv_join(&auth->tried, ", "), *ways = offered(auth);

	return err_set(err, EACCES,
		       _("%s did not let %s in (it takes: %s; tried: %s)%s. Put a public key into the user's "
			 "authorized_keys there, or give the right user or IdentityFile"),
		       opening->remote->name, opening->settings.user, ways, auth->tried.n ? tried : _("nothing"),
		       auth->locked ? _("; a key that it would take is encrypted, and its passphrase was not given")
				    : "");
}

int session_authenticate(struct opening *opening, struct err *err)
{
	struct auth auth = { .opening = opening, .ssh = opening->remote->ssh };
	int r = SSH_AUTH_PARTIAL;

	/* Partial: that was right, and the host wants another one beside it. */
	for (int i = 0; i < MOST_FACTORS && r == SSH_AUTH_PARTIAL; i++) {
		auth.asked = false;
		r = try_all(&auth);
	}
	if (r == SSH_AUTH_SUCCESS)
		r = 0;
	else if (r == SSH_AUTH_DENIED || r == SSH_AUTH_PARTIAL)
		r = refused(&auth, err);
	else
		r = broken(&auth, err);
	strv_release(&auth.tried);
	return r;
}
