/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The step `images`: what a bundle brought of images comes into the host's store. */
#include <unistd.h>

#include "base/i18n.h"
#include "host/step.h"
#include "image/carry.h"

int step_images(struct step *step, json_t **ret, struct err *err)
{
	static const char *const keys[] = { "from", NULL };
	_cleanup_(image_store_freep) struct image_store *store = NULL;
	const char *from = "";
	unsigned n = 0;
	int r = input_keys(step->input, keys, err);

	if (r == 0)
		r = input_text(step->input, "from", &from, err);
	if (r < 0)
		return r;
	if (access(from, F_OK) < 0) {
		step_unchanged(step, "images", _("The bundle has no images"));
		*ret = json_pack("{s:i}", "new", 0);
		return 0;
	}
	r = image_store_open(NULL, &store, err);
	if (r == 0)
		r = image_carry_in(store, from, &n, err);
	if (r < 0)
		return r;
	if (n) {
		step_begin(step, "images", _("Taking images into the store"));
		step_done(step, _("The store has the bundle's images"));
	} else
		step_unchanged(step, "images", _("The store has the bundle's images"));
	*ret = json_pack("{s:i}", "new", (int)n);
	return 0;
}
