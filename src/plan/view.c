/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making and freeing what plan.h describes. */
#include "plan/plan.h"

#include <string.h>

static void component_release(struct plan_component *component)
{
	free(component->name);
	free(component->fingerprint);
	free(component->around);
	free(component->translated);
	for (size_t i = 0; i < component->n_links; i++) {
		free(component->links[i].name);
		free(component->links[i].component);
	}
	free(component->links);
	free(component->place.host);
	free(component->place.runtime);
	strv_release(&component->place.labels);
}

void plan_spec_release(struct plan_spec *spec)
{
	for (size_t i = 0; i < spec->n_components; i++)
		component_release(&spec->components[i]);
	free(spec->components);
	free(spec->service);
	*spec = (struct plan_spec){ 0 };
}

void plan_spec_free(struct plan_spec *spec)
{
	if (!spec)
		return;
	plan_spec_release(spec);
	free(spec);
}

void plan_status_release(struct plan_status *status)
{
	for (size_t i = 0; i < status->n_homes; i++) {
		free(status->homes[i].component);
		free(status->homes[i].host);
	}
	free(status->homes);
	free(status->reason);
	free(status->detail);
	*status = (struct plan_status){ 0 };
}

void plan_instance_release(struct plan_instance *instance)
{
	free(instance->host);
	free(instance->service);
	free(instance->component);
	free(instance->fingerprint);
	free(instance->around);
	free(instance->why);
	free(instance->log);
	strv_release(&instance->links);
	*instance = (struct plan_instance){ 0 };
}

void plan_service_release(struct plan_service *service)
{
	free(service->name);
	plan_spec_free(service->spec);
	plan_spec_free(service->good);
	plan_status_release(&service->status);
	for (size_t i = 0; i < service->n_disconnects; i++)
		free(service->disconnects[i].component);
	free(service->disconnects);
	*service = (struct plan_service){ 0 };
}

void plan_host_release(struct plan_host *host)
{
	free(host->name);
	free(host->runtime);
	strv_release(&host->labels);
	*host = (struct plan_host){ 0 };
}

void plan_ack_release(struct plan_ack *ack)
{
	free(ack->host);
	free(ack->service);
	free(ack->component);
	free(ack->consumer);
	*ack = (struct plan_ack){ 0 };
}

void plan_view_release(struct plan_view *view)
{
	for (size_t i = 0; i < view->n_services; i++)
		plan_service_release(&view->services[i]);
	for (size_t i = 0; i < view->n_hosts; i++)
		plan_host_release(&view->hosts[i]);
	for (size_t i = 0; i < view->n_instances; i++)
		plan_instance_release(&view->instances[i]);
	for (size_t i = 0; i < view->n_acks; i++)
		plan_ack_release(&view->acks[i]);
	free(view->services);
	free(view->hosts);
	free(view->instances);
	free(view->acks);
	*view = (struct plan_view){ 0 };
}

struct plan_service *plan_view_add_service(struct plan_view *view)
{
	view->services = grow_array(view->services, view->n_services, &view->cap_services, sizeof(*view->services));
	view->services[view->n_services] = (struct plan_service){ 0 };
	return &view->services[view->n_services++];
}

struct plan_host *plan_view_add_host(struct plan_view *view)
{
	view->hosts = grow_array(view->hosts, view->n_hosts, &view->cap_hosts, sizeof(*view->hosts));
	view->hosts[view->n_hosts] = (struct plan_host){ 0 };
	return &view->hosts[view->n_hosts++];
}

struct plan_instance *plan_view_add_instance(struct plan_view *view)
{
	view->instances =
	    grow_array(view->instances, view->n_instances, &view->cap_instances, sizeof(*view->instances));
	view->instances[view->n_instances] = (struct plan_instance){ 0 };
	return &view->instances[view->n_instances++];
}

struct plan_ack *plan_view_add_ack(struct plan_view *view)
{
	view->acks = grow_array(view->acks, view->n_acks, &view->cap_acks, sizeof(*view->acks));
	view->acks[view->n_acks] = (struct plan_ack){ 0 };
	return &view->acks[view->n_acks++];
}

static void action_release(struct plan_action *action)
{
	free(action->component);
	free(action->host);
	free(action->fingerprint);
	free(action->event);
	free(action->text);
	strv_release(&action->drop_acks);
	plan_status_release(&action->status);
}

void plan_actions_release(struct plan_actions *actions)
{
	for (size_t i = 0; i < actions->n; i++) {
		for (size_t j = 0; j < actions->txns[i].n; j++)
			action_release(&actions->txns[i].actions[j]);
		free(actions->txns[i].actions);
		free(actions->txns[i].service);
	}
	free(actions->txns);
	*actions = (struct plan_actions){ 0 };
}
