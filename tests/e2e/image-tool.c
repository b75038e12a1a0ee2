/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Drives src/image from the shell for image-build.sh; built, never installed. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "image/image.h"

static const char usage[] = "usage: image-tool STORE COMMAND [OPTION]…\n"
			    "  bundle DIR      pack it, keep it, print its hash\n"
			    "  build, find     print `id <id>`, `layer <sha256> <size>`… and `ms <time>`\n"
			    "  renew SUITE [machine]   make the base system anew\n"
			    "  collect HASH…   keep only what these bundles need\n"
			    "options of build and find:\n"
			    "  -n NAME -B BUNDLE -s SUITE -x IMAGE -a ARCHIVE   the recipe\n"
			    "  -m              for machines\n"
			    "  -p PACKAGE      once for each\n"
			    "  -f FROM,TO[,OWNER[,MODE]]  -t TO,CONTENT  -b 'ARG|ARG…'   likewise\n"
			    "  -S FILE         apt sources instead of the host's     -T MS  time limit\n";

struct request {
	struct image_recipe recipe;
	struct strv packages;
	struct image_file files[16];
	struct image_text texts[16];
	struct strv steps[16];
	struct buf sources;
	int64_t timeout_ms;
};

static char *part(char **rest)
{
	return *rest ? strsep(rest, ",") : NULL;
}

static void add_file(struct request *q, char *text)
{
	struct image_file *file = &q->files[q->recipe.n_files];
	char *owner, *mode;

	file->from = part(&text);
	file->to = part(&text);
	owner = part(&text);
	mode = part(&text);
	file->owner = owner && *owner ? owner : NULL;
	file->mode = mode ? (mode_t)strtoul(mode, NULL, 8) : 0;
	q->recipe.n_files++;
}

static void add_text(struct request *q, char *text)
{
	struct image_text *to = &q->texts[q->recipe.n_texts++];

	to->to = part(&text);
	to->content = text;
	to->mode = 0755;
}

static void add_step(struct request *q, char *text)
{
	struct strv *argv = &q->steps[q->recipe.n_build++];
	char *arg;

	while ((arg = strsep(&text, "|")))
		strv_add(argv, arg);
}

static int parse(struct request *q, int argc, char **argv)
{
	int c;

	q->recipe = (struct image_recipe){
		.name = "test", .packages = &q->packages, .files = q->files, .texts = q->texts, .build = q->steps
	};
	while ((c = getopt(argc, argv, "n:B:s:x:a:mp:f:t:b:S:T:")) != -1) {
		switch (c) {
		case 'n':
			q->recipe.name = optarg;
			break;
		case 'B':
			q->recipe.bundle = optarg;
			break;
		case 's':
			q->recipe.suite = optarg;
			break;
		case 'x':
			q->recipe.external = optarg;
			break;
		case 'a':
			q->recipe.archive = optarg;
			break;
		case 'm':
			q->recipe.machine = true;
			break;
		case 'p':
			strv_add(&q->packages, optarg);
			break;
		case 'f':
			add_file(q, optarg);
			break;
		case 't':
			add_text(q, optarg);
			break;
		case 'b':
			add_step(q, optarg);
			break;
		case 'T':
			q->timeout_ms = strtoll(optarg, NULL, 10);
			break;
		case 'S':
			if (fs_read(optarg, 65536, &q->sources, NULL) < 0)
				return -1;
			break;
		default:
			return -1;
		}
	}
	return q->recipe.n_files < 16 && q->recipe.n_texts < 16 && q->recipe.n_build < 16 ? 0 : -1;
}

static int make(struct image_store *store, bool build, int argc, char **argv, struct err *err)
{
	struct request q = { 0 };
	struct image image = { 0 };
	int64_t start;
	int r;

	if (parse(&q, argc, argv) < 0)
		return err_set(err, EINVAL, "%s", usage);
	if (q.sources.len)
		image_store_set_sources(store, buf_text(&q.sources));
	start = clock_monotonic_ms();
	r = build ? image_build(store, &q.recipe, STDERR_FILENO, q.timeout_ms, &image, err)
		  : image_find(store, &q.recipe, &image, err);
	if (r < 0)
		return r;
	printf("id %s\n", image.id);
	if (image.machine)
		printf("machine\n");
	if (image.external)
		printf("external %s\n", image.external);
	for (size_t i = 0; i < image.n_layers; i++)
		printf("layer %s %llu\n", image.layers[i].sha256, (unsigned long long)image.layers[i].size);
	printf("ms %lld\n", (long long)(clock_monotonic_ms() - start));
	image_release(&image);
	strv_release(&q.packages);
	for (size_t i = 0; i < q.recipe.n_build; i++)
		strv_release(&q.steps[i]);
	buf_release(&q.sources);
	return 0;
}

static int bundle(struct image_store *store, const char *dir, struct err *err)
{
	_cleanup_(freep) char *sha256 = NULL;
	_cleanup_buf_ struct buf tar = { 0 };
	int r = bundle_pack(dir, &tar, &sha256, err);

	if (r == 0)
		r = bundle_store(store, sha256, tar.data, tar.len, err);
	if (r == 0)
		printf("%s\n", sha256);
	return r;
}

static int command(struct image_store *store, int argc, char **argv, struct err *err)
{
	_cleanup_strv_ struct strv keep = { 0 };

	if (strcmp(argv[0], "bundle") == 0 && argc == 2)
		return bundle(store, argv[1], err);
	if (strcmp(argv[0], "build") == 0 || strcmp(argv[0], "find") == 0)
		return make(store, argv[0][0] == 'b', argc, argv, err);
	if (strcmp(argv[0], "renew") == 0 && (argc == 2 || argc == 3))
		return image_base_renew(store, &(struct image_base){ argv[1], argc == 3 }, STDERR_FILENO, 0, err);
	if (strcmp(argv[0], "collect") == 0) {
		for (int i = 1; i < argc; i++)
			strv_add(&keep, argv[i]);
		return image_collect(store, &keep, 0, NULL, err);
	}
	return err_set(err, EINVAL, "%s", usage);
}

int main(int argc, char **argv)
{
	_cleanup_(image_store_freep) struct image_store *store = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	int r;

	if (argc < 3) {
		fputs(usage, stderr);
		return 2;
	}
	r = image_store_open(argv[1], &store, &err);
	if (r == 0)
		r = command(store, argc - 2, argv + 2, &err);
	if (r < 0)
		fprintf(stderr, "error %s: %s\n", strerrorname_np(-r), err_text(&err));
	return r < 0;
}
