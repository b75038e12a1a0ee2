/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Docker's images: the documents of `docker save` archives (Docker Image Specification v1.2) and answers about images.
 */
#include <errno.h>
#include <string.h>

#include "base/i18n.h"
#include "base/text.h"
#include "runtime/docker-json-parse.h"
#include "runtime/docker-json.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

void docker_image_release(struct docker_image *image)
{
	strv_release(&image->layers);
	strv_release(&image->env);
	free(image->user);
	free(image->directory);
	*image = (struct docker_image){ 0 };
}

int docker_decode_image(const char *json, size_t len, struct docker_image *ret, struct err *err)
{
	json_auto_t *root = NULL;
	const json_t *config, *layers;
	int r = docker_parse(json, len, JSON_OBJECT, N_("an image"), &root, err);

	if (r < 0)
		return r;
	layers = json_object_get(json_object_get(root, "RootFS"), "Layers");
	config = json_object_get(root, "Config");
	if (!json_is_array(layers))
		return err_set(err, EBADMSG, _("Docker's answer about an image lacks its layers"));
	*ret = (struct docker_image){ 0 };
	docker_take_strings(layers, &ret->layers);
	docker_take_strings(json_object_get(config, "Env"), &ret->env);
	ret->user = xstrdup(docker_text(config, "User"));
	ret->directory = xstrdup(docker_text(config, "WorkingDir"));
	return 0;
}

int docker_decode_images(const char *json, size_t len, struct strv *ids, struct err *err)
{
	json_auto_t *root = NULL;
	const json_t *image;
	size_t i;
	int r = docker_parse(json, len, JSON_ARRAY, N_("its images"), &root, err);

	if (r < 0)
		return r;
	json_array_foreach(root, i, image) if (docker_text(image, "Id")) strv_add(ids, docker_text(image, "Id"));
	return 0;
}

int docker_decode_image_names(const char *json, size_t len, struct strv *names, struct err *err)
{
	json_auto_t *root = NULL;
	const json_t *image, *name;
	size_t i, j;
	int r = docker_parse(json, len, JSON_ARRAY, N_("its images"), &root, err);

	if (r < 0)
		return r;
	json_array_foreach(root, i, image)
	{
		json_array_foreach(json_object_get(image, "RepoTags"), j, name)
		{
			if (json_is_string(name))
				strv_add(names, json_string_value(name));
		}
	}
	return 0;
}

/*
 * Entrypoint, Cmd, Volumes, Healthcheck and exposed ports are not inherited: the node's argv is given in full, its
 * volumes and checks are the recipe's, and an anonymous volume would outlive the node unseen.
 */
static json_t *image_config(const struct docker_image *base)
{
	json_t *config = json_object();

	if (base && base->env.n)
		json_object_set_new(config, "Env", docker_strings(&base->env));
	else
		json_object_set_new(config, "Env", json_pack("[s]", DEFAULT_PATH));
	if (base && base->user)
		json_object_set_new(config, "User", json_string(base->user));
	if (base && base->directory)
		json_object_set_new(config, "WorkingDir", json_string(base->directory));
	return config;
}

char *docker_encode_image(const struct image *image, const struct docker_image *base, const struct strv *layers)
{
	/* The time is fixed, so that the same image has the same identity on every host. */
	return docker_dump(json_pack("{s:s, s:s, s:s, s:o, s:{s:s, s:o}}", "architecture",
				     image->architecture ? image->architecture : "amd64", "os", "linux", "created",
				     "1970-01-01T00:00:00Z", "config", image_config(base), "rootfs", "type", "layers",
				     "diff_ids", docker_strings(layers)));
}

char *docker_encode_manifest(const char *ref, const struct strv *layers)
{
	json_t *names = json_array();

	for (size_t i = 0; i < layers->n; i++) {
		const char *hash = strchr(layers->v[i], ':');
		_cleanup_(freep) char *name = xasprintf("%s.tar", hash ? hash + 1 : layers->v[i]);

		json_array_append_new(names, json_string(name));
	}
	return docker_dump(json_pack("[{s:s, s:[s], s:o}]", "Config", "config.json", "RepoTags", ref, "Layers", names));
}

int docker_decode_load(const char *json, size_t len, struct err *err)
{
	const char *end = json + len;

	for (const char *line = json; line && line < end;) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		size_t line_len = (size_t)((stop ? stop : end) - line);
		json_auto_t *root = NULL;

		if (docker_parse(line, line_len, JSON_OBJECT, N_("an image"), &root, NULL) == 0 &&
		    docker_text(root, "error"))
			return docker_error(500, line, line_len, err);
		line = stop ? stop + 1 : NULL;
	}
	return 0;
}
