/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a recipe, a service and a list of hosts; what is accepted must survive being shown. */
#include <stdint.h>

#include "model/canonical.h"
#include "model/hosts.h"
#include "model/recipe.h"
#include "model/service.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_recipe(const char *text, size_t len)
{
	_cleanup_(recipe_freep) struct recipe *recipe = NULL;
	_cleanup_diag_ struct diag diag = { 0 };
	_cleanup_buf_ struct buf out = { 0 };

	if (recipe_parse("recipe.yaml", text, len, &diag, &recipe) == 0) {
		_cleanup_json_ json_t *json = recipe_to_json(recipe);

		free(json_canonical(json));
	}
	diag_format(&diag, len & 1, &out);
}

static void as_service(const char *text, size_t len)
{
	_cleanup_(service_freep) struct service *service = NULL;
	_cleanup_json_ json_t *spec = NULL;
	_cleanup_strv_ struct strv search = { 0 };
	_cleanup_diag_ struct diag diag = { 0 };
	_cleanup_buf_ struct buf out = { 0 };

	strv_add(&search, RECIPES);
	if (service_parse("service.yaml", text, len, &diag, &service) == 0)
		service_resolve(service, &search, NULL, NULL, &diag, &spec);
	diag_format(&diag, false, &out);
}

static void as_hosts(const char *text, size_t len)
{
	_cleanup_(hosts_freep) struct hosts *hosts = NULL;
	_cleanup_diag_ struct diag diag = { 0 };

	hosts_parse("hosts.yaml", text, len, &diag, &hosts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	as_recipe((const char *)data, size);
	as_service((const char *)data, size);
	as_hosts((const char *)data, size);
	return 0;
}
