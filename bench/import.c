/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * import ID SHA256 PATH [SHA256 PATH]…: brings an image of these layers, lowest first, into Docker as the agent does,
 * and again when it is there. Prints the microseconds of both and the image's name.
 */
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "runtime/runtime.h"

enum { MOST_LAYERS = 8 };

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int64_t import(struct runtime *rt, const struct image *image, char **ret_ref)
{
	_cleanup_err_ struct err err = ERR_INIT;
	int64_t start = now_us();

	if (rt->ops->import(rt, image, ret_ref, &err) < 0) {
		fprintf(stderr, "%s\n", err_text(&err));
		exit(1);
	}
	return now_us() - start;
}

int main(int argc, char **argv)
{
	struct image_layer layers[MOST_LAYERS] = { 0 };
	struct image image = { .id = argv[1], .layers = layers, .architecture = (char *)"amd64" };
	_cleanup_(freep) char *ref = NULL, *again = NULL;
	struct runtime *rt;
	int64_t first, second;
	struct stat st;

	for (int i = 2; i + 1 < argc && image.n_layers < MOST_LAYERS; i += 2) {
		if (stat(argv[i + 1], &st) < 0)
			return 2;
		layers[image.n_layers++] =
		    (struct image_layer){ .sha256 = argv[i], .path = argv[i + 1], .size = (uint64_t)st.st_size };
	}
	if (!image.n_layers || runtime_open("docker", NULL, &rt, NULL) < 0)
		return 2;
	first = import(rt, &image, &ref);
	second = import(rt, &image, &again);
	printf("%" PRId64 " %" PRId64 " %s\n", first, second, ref);
	runtime_free(rt);
	return 0;
}
