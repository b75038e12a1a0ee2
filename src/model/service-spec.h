/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The spec of a resolved service (docs/state.md); what service-resolve.c and service-spec.c share. */
#ifndef TEPUY_MODEL_SERVICE_SPEC_H
#define TEPUY_MODEL_SERVICE_SPEC_H

#include "model/service.h"

/* The service has no errors and its components have their recipes. -EINVAL or what `bundle` returned, with an error. */
int service_make_spec(const struct service *service, service_bundle_fn bundle, void *data, struct diag *diag,
		      json_t **ret);

#endif
