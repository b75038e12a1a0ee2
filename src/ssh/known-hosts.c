/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ssh/known-hosts.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/text.h"
#include "ssh/ssh-config.h"

enum { MOST_FILE = 16 << 20, HASH_SIZE = 20 };

struct entry {
	int line;
	bool revoked;
	char *names; /* patterns; NULL for a hashed name */
	bool plain;  /* `names` is one name without pattern */
	unsigned char salt[HASH_SIZE], hash[HASH_SIZE];
	char *type, *blob;
};

struct file {
	struct file *next;
	char *path;
	struct entry *entries;
	size_t n, cap;
};

/* All files that were read. One lock for all: what is done under it takes microseconds. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file *files;

void known_place_release(struct known_place *place)
{
	free(place->file);
	free(place->type);
	free(place->fingerprint);
	*place = (struct known_place){ 0 };
}

char *known_hosts_name(const char *host, uint16_t port)
{
	char *name = port == 22 ? xstrdup(host) : xasprintf("[%s]:%u", host, port);

	for (char *p = name; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return name;
}

char *known_hosts_fingerprint(const char *blob)
{
	_cleanup_buf_ struct buf key = { 0 }, text = { 0 };
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int size;

	if (base64_decode(&key, blob, strlen(blob)) < 0 ||
	    !EVP_Digest(buf_text(&key), key.len, digest, &size, EVP_sha256(), NULL))
		return xstrdup("SHA256:?");
	buf_adds(&text, "SHA256:");
	base64_encode(&text, digest, size);
	while (text.len && text.data[text.len - 1] == '=')
		text.data[--text.len] = '\0';
	return buf_take(&text);
}

static void hash_name(const unsigned char *salt, const char *name, unsigned char *ret)
{
	unsigned int size = HASH_SIZE;

	HMAC(EVP_sha1(), salt, HASH_SIZE, (const unsigned char *)name, strlen(name), ret, &size);
}

/* "|1|salt|hash" */
static bool take_hashed(const char *text, struct entry *entry)
{
	const char *salt = text + 3, *hash = strchr(salt, '|');
	_cleanup_buf_ struct buf a = { 0 }, b = { 0 };

	if (!hash || base64_decode(&a, salt, (size_t)(hash - salt)) < 0 ||
	    base64_decode(&b, hash + 1, strlen(hash + 1)) < 0 || a.len != HASH_SIZE || b.len != HASH_SIZE)
		return false;
	memcpy(entry->salt, a.data, HASH_SIZE);
	memcpy(entry->hash, b.data, HASH_SIZE);
	return true;
}

static char *next_word(char **at)
{
	char *word = *at + strspn(*at, " \t");
	size_t len = strcspn(word, " \t\r");

	*at = word + len;
	if (**at)
		*(*at)++ = '\0';
	return len ? word : NULL;
}

static struct entry *add_entry(struct file *file)
{
	struct entry *entry;

	file->entries = grow_array(file->entries, file->n, &file->cap, sizeof(*file->entries));
	entry = &file->entries[file->n++];
	*entry = (struct entry){ 0 };
	return entry;
}

/* A line that is none is passed over, as ssh does. */
static void take_line(struct file *file, char *line, int number)
{
	struct entry entry = { .line = number }, *added;
	char *names = next_word(&line), *type, *blob;

	if (!names || *names == '#')
		return;
	if (!strcmp(names, "@revoked"))
		entry.revoked = true;
	else if (*names == '@') /* @cert-authority: libssh knows no host certificates */
		return;
	if (entry.revoked)
		names = next_word(&line);
	type = names ? next_word(&line) : NULL;
	blob = type ? next_word(&line) : NULL;
	if (!blob || (text_starts(names, "|1|") && !take_hashed(names, &entry)))
		return;
	entry.names = text_starts(names, "|1|") ? NULL : xstrdup(names);
	entry.plain = entry.names && !strpbrk(names, "*?!,");
	entry.type = xstrdup(type);
	entry.blob = xstrdup(blob);
	added = add_entry(file);
	*added = entry;
}

static struct file *find_file(const char *path)
{
	for (struct file *file = files; file; file = file->next)
		if (!strcmp(file->path, path))
			return file;
	return NULL;
}

/* Called with the lock held. A file that is not there is empty. */
static int load(const char *path, struct file **ret, struct err *err)
{
	struct file *file = find_file(path);
	_cleanup_buf_ struct buf text = { 0 };
	_cleanup_err_ struct err own = ERR_INIT;
	char *line, *rest;
	int number = 0, r;

	*ret = file;
	if (file)
		return 0;
	r = access(path, F_OK) == 0 && strcmp(path, "/dev/null") ? fs_read(path, MOST_FILE, &text, &own) : 0;
	if (r < 0)
		return err_set(err, -r, _("The known host keys cannot be read: %s"), err_text(&own));
	file = xcalloc(1, sizeof(*file));
	file->path = xstrdup(path);
	rest = text.data;
	while (rest && (line = strsep(&rest, "\n")))
		take_line(file, line, ++number);
	file->next = files;
	files = file;
	*ret = file;
	return 0;
}

static bool is_of(const struct entry *entry, const char *name)
{
	unsigned char hash[HASH_SIZE];

	if (entry->plain)
		return !strcasecmp(entry->names, name);
	if (entry->names)
		return ssh_pattern_list(name, entry->names);
	hash_name(entry->salt, name, hash);
	return !memcmp(hash, entry->hash, HASH_SIZE);
}

static void set_place(struct known_place *place, const struct file *file, const struct entry *entry)
{
	known_place_release(place);
	*place = (struct known_place){ .file = xstrdup(file->path),
				       .line = entry->line,
				       .type = xstrdup(entry->type),
				       .fingerprint = known_hosts_fingerprint(entry->blob) };
}

/* How much an answer says; the greatest of all lines is the host's. */
static int weight(enum known_answer answer)
{
	static const int weights[] = {
		[KNOWN_NEW] = 0, [KNOWN_MISSING] = 1, [KNOWN_OTHER] = 2, [KNOWN_SAME] = 3, [KNOWN_REVOKED] = 4
	};

	return weights[answer];
}

static void ask_file(const struct file *file, const char *name, const char *type, const char *blob,
		     enum known_answer *answer, struct known_place *place)
{
	for (size_t i = 0; i < file->n; i++) {
		const struct entry *entry = &file->entries[i];
		bool same = !strcmp(entry->blob, blob);
		enum known_answer here = entry->revoked               ? KNOWN_REVOKED
					 : same                       ? KNOWN_SAME
					 : !strcmp(entry->type, type) ? KNOWN_OTHER
								      : KNOWN_MISSING;

		/* The name of a hashed line costs most: it is asked last, and only when it would change something. */
		if ((entry->revoked && !same) || weight(here) <= weight(*answer) || !is_of(entry, name))
			continue;
		*answer = here;
		set_place(place, file, entry);
	}
}

int known_hosts_ask(const struct strv *paths, const char *name, const char *type, const char *blob,
		    enum known_answer *ret, struct known_place *ret_place, struct err *err)
{
	enum known_answer answer = KNOWN_NEW;
	struct known_place place = { 0 };
	int r = 0;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; r == 0 && i < paths->n; i++) {
		struct file *file;

		r = load(paths->v[i], &file, err);
		if (r == 0)
			ask_file(file, name, type, blob, &answer, &place);
	}
	pthread_mutex_unlock(&lock);
	if (r < 0 || answer == KNOWN_SAME || answer == KNOWN_NEW)
		known_place_release(&place);
	if (r < 0)
		return r;
	*ret = answer;
	*ret_place = place;
	return 0;
}

int known_hosts_types(const struct strv *paths, const char *name, struct strv *ret, struct err *err)
{
	int r = 0;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; r == 0 && i < paths->n; i++) {
		struct file *file;

		r = load(paths->v[i], &file, err);
		for (size_t j = 0; r == 0 && j < file->n; j++) {
			const struct entry *entry = &file->entries[j];

			if (!entry->revoked && !strv_has(ret, entry->type) && is_of(entry, name))
				strv_add(ret, entry->type);
		}
	}
	pthread_mutex_unlock(&lock);
	return r;
}

static int make_directory(const char *file, struct err *err)
{
	_cleanup_(freep) char *dir = xstrdup(file);
	char *slash = strrchr(dir, '/');

	if (!slash || slash == dir)
		return 0;
	*slash = '\0';
	return access(dir, F_OK) == 0 ? 0 : fs_mkdirs(dir, 0700, err);
}

/* Also when the last line lacks its newline, which an editor may have left out. */
static int append(const char *path, const char *line, struct err *err)
{
	_cleanup_(closep) int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	_cleanup_buf_ struct buf text = { 0 };
	off_t end;
	char last;
	int r;

	if (fd < 0)
		return err_errno(err, errno, _("The host key cannot be remembered in %s"), path);
	end = lseek(fd, 0, SEEK_END);
	if (end > 0 && pread(fd, &last, 1, end - 1) == 1 && last != '\n')
		buf_addc(&text, '\n');
	buf_adds(&text, line);
	r = fs_write_all(fd, text.data, text.len);
	return r < 0 ? err_errno(err, -r, _("The host key cannot be remembered in %s"), path) : 0;
}

static char *hashed_name(const char *name)
{
	unsigned char salt[HASH_SIZE], hash[HASH_SIZE];
	struct buf text = { 0 };

	if (RAND_bytes(salt, HASH_SIZE) != 1)
		return xstrdup(name);
	hash_name(salt, name, hash);
	buf_adds(&text, "|1|");
	base64_encode(&text, salt, HASH_SIZE);
	buf_addc(&text, '|');
	base64_encode(&text, hash, HASH_SIZE);
	return buf_take(&text);
}

int known_hosts_add(const char *path, const char *name, bool hash, const char *type, const char *blob, struct err *err)
{
	_cleanup_(freep) char *shown = hash ? hashed_name(name) : xstrdup(name);
	_cleanup_(freep) char *line = xasprintf("%s %s %s\n", shown, type, blob),
			      *copy = xasprintf("%s %s %s", shown, type, blob);
	struct file *file;
	int r;

	pthread_mutex_lock(&lock);
	r = load(path, &file, err);
	if (r == 0)
		r = make_directory(path, err);
	if (r == 0)
		r = append(path, line, err);
	if (r == 0)
		take_line(file, copy, 0);
	pthread_mutex_unlock(&lock);
	return r;
}
