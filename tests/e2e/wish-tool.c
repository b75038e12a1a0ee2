/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A host of machines as far as images go, for image-wish.sh: has the image of a recipe by way of the agent's own code,
 * from other hosts if one of them makes it. Prints `id <id>`, and `machine` if it is for machines; what is done goes to
 * stderr. Built, never installed.
 */
#include <stdio.h>
#include <string.h>

#include "agent/node-image.h"
#include "agent/peers.h"
#include "base/fs.h"
#include "base/log.h"

static const struct runtime_ops machines = { .name = "test", .machines = true };

int main(int argc, char **argv)
{
	struct runtime runtime = { .ops = &machines };
	_cleanup_(image_store_freep) struct image_store *store = NULL;
	_cleanup_(consul_freep) struct consul *consul = NULL;
	_cleanup_(node_image_release) struct node_image image = { 0 };
	_cleanup_(freep) char *root = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	struct node_env env = { .runtime = &runtime };
	struct node_spec spec = { 0 };
	int r;

	if (argc != 6) {
		fputs("usage: wish-tool STATE-DIRECTORY CONSUL-URL HOST TLS-DIRECTORY BUNDLE\n", stderr);
		return 2;
	}
	root = fs_join(argv[1], "store");
	r = image_store_open(root, &store, &err);
	if (r < 0)
		goto end;
	consul = consul_new(argv[2], NULL, NULL);
	env.consul = consul;
	env.store = store;
	env.state_dir = argv[1];
	env.host = argv[3];
	env.peers = peers_new(consul, store, argv[3], true, argv[4]);
	spec.recipe = spec.bundle = argv[5];
	r = node_image_build(&env, &spec, &err);
	if (r == 0)
		r = node_image_find(&env, &spec, &image, &err);
	peers_free(env.peers);
	if (r == 0)
		printf("id %s\n%s", image.image.id, image.image.machine ? "machine\n" : "");
end:
	if (r < 0)
		fprintf(stderr, "error %s: %s\n", strerrorname_np(-r), err_text(&err));
	return r < 0;
}
