/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files to and from a host, by what every Debian has: sh, cat, mktemp, sha256sum, mv. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/text.h"
#include "ssh/session.h"

enum { PIECE = 65536 };

/* $1 path, $2 mode, $3 sha256, $4 size: ends with 0 when the very file is there (its mode is then set), else with 9. */
static const char compare_script[] = "[ -f \"$1\" ] && [ ! -L \"$1\" ] || exit 9; "
				     "[ \"$(stat -c %s -- \"$1\")\" = \"$4\" ] || exit 9; "
				     "sum=$(sha256sum <\"$1\") && [ \"${sum%% *}\" = \"$3\" ] || exit 9; "
				     "exec chmod -- \"$2\" \"$1\"";

/* The new file is written beside the old one, so that the last step is one rename; what breaks leaves nothing. */
static const char put_script[] =
    "set -eu; dir=$(dirname -- \"$1\"); new=$(mktemp -- \"$dir/.tepuy-XXXXXXXX\"); "
    "trap 'rm -f -- \"$new\"' EXIT; trap 'exit 1' HUP INT TERM; cat >\"$new\"; "
    "sum=$(sha256sum <\"$new\"); "
    "[ \"${sum%% *}\" = \"$3\" ] || { echo 'what arrived is not what was sent' >&2; exit 1; }; "
    "chmod -- \"$2\" \"$new\"; sync -- \"$new\"; mv -fT -- \"$new\" \"$1\"";

struct transfer {
	int fd;
	off_t at, size;
};

static ssize_t read_piece(void *data, char *to, size_t size)
{
	struct transfer *transfer = data;
	off_t left = transfer->size - transfer->at;
	ssize_t n;

	/* A file that grows meanwhile ends where it did when it was looked at; one that shrinks is noticed by its hash.
	 */
	if ((off_t)size > left)
		size = (size_t)left;
	do
		n = size ? pread(transfer->fd, to, size, transfer->at) : 0;
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	transfer->at += n;
	return n;
}

static int hash_file(struct transfer *transfer, char **ret, struct err *err)
{
	_cleanup_(freep) char *piece = xmalloc(PIECE);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char digest[EVP_MAX_MD_SIZE];
	off_t start = transfer->at;
	unsigned int size = 0;
	ssize_t n = 0;
	bool good = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL);

	while (good && (n = read_piece(transfer, piece, PIECE)) > 0)
		good = EVP_DigestUpdate(context, piece, (size_t)n);
	good = good && EVP_DigestFinal_ex(context, digest, &size);
	EVP_MD_CTX_free(context);
	transfer->at = start;
	if (n < 0)
		return err_errno(err, (int)-n, _("The file cannot be read"));
	if (!good)
		return err_set(err, EIO, _("The file's hash cannot be calculated"));
	*ret = text_hex(digest, size);
	return 0;
}

static void script(struct strv *argv, const char *text)
{
	strv_add_all(argv, "/bin/sh", "-c", text, "tepuy", NULL);
}

int remote_put(struct remote *remote, int fd, const char *path, mode_t mode, bool sudo, struct err *err)
{
	struct transfer transfer = { .fd = fd, .at = lseek(fd, 0, SEEK_CUR) };
	_cleanup_strv_ struct strv compare = { 0 }, put = { 0 };
	struct remote_command command = { .argv = &compare, .sudo = sudo, .timeout_ms = -1 };
	_cleanup_(freep) char *sha256 = NULL;
	struct stat st;
	int status, r;

	if (transfer.at < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, EINVAL, _("Only regular files can be copied to a host"));
	transfer.size = st.st_size;
	r = hash_file(&transfer, &sha256, err);
	if (r < 0)
		return r;
	script(&compare, compare_script);
	script(&put, put_script);
	strv_add(&compare, path);
	strv_addf(&compare, "%o", (unsigned)mode & 07777);
	strv_add(&compare, sha256);
	strv_addf(&compare, "%lld", (long long)(transfer.size - transfer.at));
	strv_add(&put, path);
	strv_addf(&put, "%o", (unsigned)mode & 07777);
	strv_add(&put, sha256);
	r = remote_exec(remote, &command, &status, err);
	if (r < 0 || status == 0)
		return r;
	command = (struct remote_command){
		.argv = &put, .sudo = sudo, .source = read_piece, .data = &transfer, .timeout_ms = -1
	};
	r = remote_checked(remote, &command, NULL, err);
	return r < 0 && err ? err_wrap(err, _("%s could not be written"), path) : r;
}

struct fetch {
	int fd;
};

static int write_piece(void *data, bool is_stderr, const char *bytes, size_t len)
{
	const struct fetch *fetch = data;

	return is_stderr ? 0 : fs_write_all(fetch->fd, bytes, len);
}

int remote_get(struct remote *remote, const char *path, int fd, bool sudo, struct err *err)
{
	struct fetch fetch = { .fd = fd };
	_cleanup_strv_ struct strv argv = { 0 };
	struct remote_command command = {
		.argv = &argv, .sudo = sudo, .sink = write_piece, .data = &fetch, .timeout_ms = -1
	};
	int r;

	strv_add_all(&argv, "cat", "--", path, NULL);
	r = remote_checked(remote, &command, NULL, err);
	return r < 0 && err ? err_wrap(err, _("%s could not be read"), path) : r;
}
