/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Is the host the one that it says it is? */
#include <errno.h>
#include <string.h>

#include "base/i18n.h"
#include "base/text.h"
#include "ssh/known-hosts.h"
#include "ssh/session.h"

struct shown_key {
	const char *type; /* borrowed from libssh */
	char *blob;       /* libssh's string */
	char *fingerprint;
};

static void shown_key_release(struct shown_key *key)
{
	ssh_string_free_char(key->blob);
	free(key->fingerprint);
}

static int take_key(struct opening *opening, struct shown_key *ret, struct err *err)
{
	ssh_key key = NULL;
	int r;

	if (ssh_get_server_publickey(opening->remote->ssh, &key) != SSH_OK)
		return err_set(err, EPROTO, _("%s showed no host key"), opening->remote->name);
	r = ssh_pki_export_pubkey_base64(key, &ret->blob);
	ret->type = ssh_key_type_to_char(ssh_key_type(key));
	ssh_key_free(key);
	if (r != SSH_OK || !ret->type)
		return err_set(err, EPROTO, _("%s showed a host key that cannot be read"), opening->remote->name);
	ret->fingerprint = known_hosts_fingerprint(ret->blob);
	return 0;
}

static bool same_fingerprint(const char *given, const char *shown)
{
	size_t n = strlen(given);

	while (n && given[n - 1] == '=')
		n--;
	return strlen(shown) == n && !strncmp(given, shown, n);
}

static int check_fingerprint(struct opening *opening, const struct shown_key *key, bool *ret_again, struct err *err)
{
	static const char *const types[] = { "ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa" };
	const char *wanted = opening->host->fingerprint;
	struct strv tried = opening->types;

	*ret_again = false;
	if (same_fingerprint(wanted, key->fingerprint))
		return 0;
	/* The next type that it has not been asked for; `types` names what comes first, so those tried go to its end.
	 */
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strcmp(types[i], key->type) && !strv_has(&tried, types[i])) {
			opening->types = (struct strv){ 0 };
			strv_add(&opening->types, types[i]);
			strv_copy(&opening->types, &tried);
			if (!strv_has(&opening->types, key->type))
				strv_add(&opening->types, key->type);
			strv_release(&tried);
			*ret_again = true;
			break;
		}
	return err_set(
	    err, EKEYREJECTED,
	    _("%s shows another host key than the one expected: it has %s (%s), and its fingerprint is given "
	      "as %s. Find out which is right: 'ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub' on the "
	      "host itself tells it"),
	    opening->remote->name, key->fingerprint, key->type, wanted);
}

static int refuse_other(const struct opening *opening, const struct shown_key *key, const struct known_place *place,
			struct err *err)
{
	return err_set(err, EKEYREJECTED,
		       _("The host key of %s (%s) has changed: known is %s (%s, %s:%d), it now shows %s (%s). Someone "
			 "may be listening in, or the host was installed anew. If that is so, remove the known key "
			 "with: ssh-keygen -R '%s' -f '%s'"),
		       opening->remote->name, opening->settings.hostname, place->fingerprint, place->type, place->file,
		       place->line, key->fingerprint, key->type, opening->known_name, place->file);
}

static int refuse_revoked(const struct opening *opening, const struct shown_key *key, const struct known_place *place,
			  struct err *err)
{
	return err_set(err, EKEYREJECTED, _("The host key of %s, %s, is revoked (%s:%d); do not use this host"),
		       opening->remote->name, key->fingerprint, place->file, place->line);
}

static int remember(const struct opening *opening, const struct shown_key *key, struct err *err)
{
	const struct ssh_settings *settings = &opening->settings;

	if (!settings->known_hosts.n || !strcmp(settings->known_hosts.v[0], "/dev/null"))
		return 0;
	return known_hosts_add(settings->known_hosts.v[0], opening->known_name, settings->hash_known_hosts, key->type,
			       key->blob, err);
}

static int refuse_new(const struct opening *opening, const struct shown_key *key, struct err *err)
{
	return err_set(err, EKEYREJECTED,
		       _("The host key of %s (%s) is not known, and nobody accepted it: it is %s (%s). Give it as "
			 "'fingerprint' in hosts.yaml, or connect once with 'ssh' at a terminal and accept it there"),
		       opening->remote->name, opening->settings.hostname, key->fingerprint, key->type);
}

static int ask_about(struct opening *opening, const struct shown_key *key, struct err *err)
{
	_cleanup_(freep) char *prompt =
	    xasprintf(_("The host key of %s (%s) is not known. Its fingerprint is %s (%s). Is it right?"),
		      opening->remote->name, opening->settings.hostname, key->fingerprint, key->type);
	char *answer;
	bool yes;

	if (opening->settings.strict)
		return refuse_new(opening, key, err);
	answer = session_ask(opening->options, REMOTE_NEW_HOST_KEY, opening->remote->name, prompt, &opening->deadline);
	yes = answer && !strcmp(answer, "yes");
	session_wipe(&answer);
	return yes ? remember(opening, key, err) : refuse_new(opening, key, err);
}

static int check_known(struct opening *opening, const struct shown_key *key, struct err *err)
{
	_cleanup_strv_ struct strv files = { 0 };
	_cleanup_(known_place_release) struct known_place place = { 0 };
	enum known_answer answer;
	int r;

	strv_copy(&files, &opening->settings.known_hosts);
	strv_copy(&files, &opening->settings.global_known_hosts);
	r = known_hosts_ask(&files, opening->known_name, key->type, key->blob, &answer, &place, err);
	if (r < 0)
		return r;
	switch (answer) {
	case KNOWN_SAME:
		return 0;
	case KNOWN_NEW:
		return ask_about(opening, key, err);
	case KNOWN_REVOKED:
		return refuse_revoked(opening, key, &place, err);
	default:
		return refuse_other(opening, key, &place, err);
	}
}

int session_check_key(struct opening *opening, bool *ret_try_again, struct err *err)
{
	_cleanup_(shown_key_release) struct shown_key key = { 0 };
	int r = take_key(opening, &key, err);

	*ret_try_again = false;
	if (r < 0)
		return r;
	if (opening->host->fingerprint)
		return check_fingerprint(opening, &key, ret_try_again, err);
	return check_known(opening, &key, err);
}
