/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

#include "base/i18n.h"
#include "base/text.h"

struct digest {
	EVP_MD_CTX *ctx;
};

struct digest *digest_new(void)
{
	struct digest *digest = xcalloc(1, sizeof(*digest));

	digest->ctx = EVP_MD_CTX_new();
	if (!digest->ctx || EVP_DigestInit_ex(digest->ctx, EVP_sha256(), NULL) != 1)
		abort(); /* only for want of memory, as in base/mem.h */
	return digest;
}

void digest_add(struct digest *digest, const void *data, size_t len)
{
	if (len && EVP_DigestUpdate(digest->ctx, data, len) != 1)
		abort();
}

char *digest_hex(struct digest *digest)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	if (EVP_DigestFinal_ex(digest->ctx, sum, &len) != 1)
		abort();
	return text_hex(sum, len);
}

void digest_free(struct digest *digest)
{
	if (!digest)
		return;
	EVP_MD_CTX_free(digest->ctx);
	free(digest);
}

void digest_freep(struct digest **digest)
{
	digest_free(*digest);
}

char *digest_of(const void *data, size_t len)
{
	_cleanup_digest_ struct digest *digest = digest_new();

	digest_add(digest, data, len);
	return digest_hex(digest);
}

int digest_of_file(const char *path, char **ret_hex, struct err *err)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	_cleanup_digest_ struct digest *digest = digest_new();
	char chunk[65536];
	ssize_t n;

	if (fd < 0)
		return err_errno(err, errno, _("Cannot read %s"), path);
	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, errno, _("Cannot read %s"), path);
		digest_add(digest, chunk, (size_t)n);
	}
	*ret_hex = digest_hex(digest);
	return 0;
}

bool digest_valid(const char *hex)
{
	return hex && strlen(hex) == DIGEST_HEX && strspn(hex, "0123456789abcdef") == DIGEST_HEX;
}
