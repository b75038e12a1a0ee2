/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/record.h"

#include <errno.h>
#include <string.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "image/digest.h"

#define MOST_RECORD ((size_t)1 << 20)

int record_read(const char *path, json_t **ret, struct err *err)
{
	_cleanup_buf_ struct buf text = { 0 };
	int r = fs_read(path, MOST_RECORD, &text, err);
	json_t *record;

	if (r < 0)
		return r;
	record = json_loadb(buf_text(&text), text.len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(record)) {
		json_decref(record);
		return err_set(err, ENOENT, _("%s is damaged; it is made anew by the next build"), path);
	}
	*ret = record;
	return 0;
}

int record_write(const struct image_store *store, const char *path, const json_t *record, struct err *err)
{
	_cleanup_(freep) char *text = json_dumps(record, JSON_SORT_KEYS | JSON_INDENT(1));
	_cleanup_err_ struct err why = ERR_INIT;
	int r = fs_write(path, text, strlen(text), 0644, &why);

	return r < 0 ? store_write_error(store, -r, path, err) : 0;
}

json_t *record_layers(const struct image_layer *layers, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(
		    array, json_pack("{s:s, s:I}", "sha256", layers[i].sha256, "size", (json_int_t)layers[i].size));
	return array;
}

int record_read_layers(const struct image_store *store, const json_t *array, struct image_layer **ret, size_t *ret_n)
{
	size_t n = json_array_size(array);
	struct image_layer *layers = xcalloc(n + 1, sizeof(*layers));

	for (size_t i = 0; i < n; i++) {
		const json_t *layer = json_array_get(array, i);
		const char *sha256 = json_string_value(json_object_get(layer, "sha256"));
		json_int_t size = json_integer_value(json_object_get(layer, "size"));

		if (digest_valid(sha256) && store_layer(store, sha256, &layers[i]) == 0 &&
		    layers[i].size == (uint64_t)size)
			continue;
		for (size_t j = 0; j <= i; j++)
			image_layer_release(&layers[j]);
		free(layers);
		return -ENOENT;
	}
	*ret = layers;
	*ret_n = n;
	return 0;
}
