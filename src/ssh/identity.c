/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ssh/identity.h"

#include <pthread.h>
#include <string.h>

#include "base/i18n.h"
#include "base/mem.h"
#include "ssh/session.h"

enum { MOST_TRIES = 3 };

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER, unlock_lock = PTHREAD_MUTEX_INITIALIZER;
static struct identity *all;

/* libssh asks when the key is encrypted, which is all that we want to know. */
static int note_question(const char *prompt, char *buf, size_t len, int echo, int verify, void *data)
{
	(void)prompt, (void)buf, (void)len, (void)echo, (void)verify;
	*(bool *)data = true;
	return -1;
}

static void load_public(struct identity *identity)
{
	_cleanup_(freep) char *beside = xasprintf("%s.pub", identity->path);

	if (ssh_pki_import_pubkey_file(beside, &identity->public_key) != SSH_OK &&
	    ssh_pki_import_pubkey_file(identity->path, &identity->public_key) != SSH_OK)
		identity->public_key = NULL;
}

static void load(struct identity *identity)
{
	bool encrypted = false;

	identity->state = IDENTITY_ABSENT;
	if (ssh_pki_import_privkey_file(identity->path, NULL, note_question, &encrypted, &identity->key) == SSH_OK)
		identity->state = IDENTITY_READY;
	else if (encrypted) {
		identity->state = IDENTITY_LOCKED;
		load_public(identity);
	}
}

struct identity *identity_get(const char *path)
{
	struct identity *identity;

	pthread_mutex_lock(&list_lock);
	for (identity = all; identity && strcmp(identity->path, path); identity = identity->next)
		;
	if (!identity) {
		identity = xcalloc(1, sizeof(*identity));
		identity->path = xstrdup(path);
		load(identity);
		identity->next = all;
		all = identity;
	}
	pthread_mutex_unlock(&list_lock);
	return identity;
}

bool identity_unlock(struct identity *identity, const struct remote_options *options, const char *host,
		     int64_t *deadline)
{
	_cleanup_(freep) char *prompt = xasprintf(_("Passphrase of the key %s"), identity->path);
	bool ready;

	/* Other threads wait here while one asks, and find the key ready. */
	pthread_mutex_lock(&unlock_lock);
	for (int try = 0; try < MOST_TRIES && identity->state == IDENTITY_LOCKED; try++) {
		char *passphrase = session_ask(options, REMOTE_PASSPHRASE, host, prompt, deadline);

		if (!passphrase)
			break;
		if (ssh_pki_import_privkey_file(identity->path, passphrase, NULL, NULL, &identity->key) == SSH_OK)
			identity->state = IDENTITY_READY;
		session_wipe(&passphrase);
	}
	if (identity->state == IDENTITY_LOCKED)
		identity->state = IDENTITY_GIVEN_UP;
	ready = identity->state == IDENTITY_READY;
	pthread_mutex_unlock(&unlock_lock);
	return ready;
}
