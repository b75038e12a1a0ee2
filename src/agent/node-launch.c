/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/node-launch.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/guests.h"
#include "agent/node-context.h"
#include "agent/node-files.h"
#include "agent/node-image.h"
#include "agent/node-script.h"
#include "agent/node-secrets.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "model/canonical.h"
#include "plan/plan.h"
#include "proxy/haproxy-config.h"

/* A request to the runtime with all that it borrows. */
struct request {
	struct strv labels, argv, env;
	struct runtime_mount *mounts;
	size_t n_mounts;
	struct runtime_port *ports;
	size_t n_ports;
	struct runtime_network *networks;
	size_t n_networks;
	char *host_name, *image_ref;
};

static void request_release(struct request *request)
{
	strv_release(&request->labels);
	strv_release(&request->argv);
	strv_release(&request->env);
	for (size_t i = 0; i < request->n_mounts; i++) {
		free(request->mounts[i].from);
		free(request->mounts[i].to);
	}
	for (size_t i = 0; i < request->n_ports; i++) {
		free(request->ports[i].name);
		free(request->ports[i].address);
	}
	runtime_networks_free(request->networks, request->n_networks);
	free(request->mounts);
	free(request->ports);
	free(request->host_name);
	free(request->image_ref);
}

/* Volumes outlive nodes: the directory is made once and never removed by us. A block device is there or is not. */
static int find_volume(const struct node_job *job, const char *from, struct err *err)
{
	bool machines = job->env->runtime->ops->machines;
	struct stat st;

	if (stat(from, &st) == 0 && S_ISBLK(st.st_mode)) {
		if (machines)
			return 0;
		return err_set(err, ENOTDIR,
			       _("%s is a block device, which only machines can have as a volume; give a directory, or "
				 "place the component on a host that runs machines"),
			       from);
	}
	if (!strncmp(from, "/dev/", strlen("/dev/")))
		return err_set(err, ENOENT, _("There is no block device %s; make it, or give a directory"), from);
	return fs_mkdirs(from, 0755, err);
}

static int add_volumes(const struct node_job *job, struct request *request, struct err *err)
{
	const struct node_spec *spec = job->spec;
	int r;

	request->mounts = xcalloc(spec->n_volumes + 1, sizeof(*request->mounts));
	for (size_t i = 0; i < spec->n_volumes; i++) {
		const struct node_volume *volume = &spec->volumes[i];
		struct runtime_mount *mount = &request->mounts[request->n_mounts++];

		mount->to = xstrdup(volume->mount);
		mount->from = *volume->path ? xstrdup(volume->path)
					    : xasprintf("%s/volumes/%s/%s/%u/%s", job->env->state_dir, job->id->service,
							job->id->component, job->id->n, volume->name);
		mount->size = (uint64_t)volume->size;
		r = find_volume(job, mount->from, err);
		if (r < 0)
			return err_wrap(err, _("The volume %s of %s cannot be used"), volume->name, job->id->node);
	}
	return 0;
}

static int add_secrets(const struct node_job *job, struct request *request, struct err *err)
{
	_cleanup_strv_ struct strv names = { 0 };
	struct runtime_mount *mount;
	int r;

	node_secret_names(job->spec, &names);
	if (!names.n)
		return 0;
	r = node_secrets_write(job->env, job->id, &names, err);
	if (r < 0)
		return r;
	mount = &request->mounts[request->n_mounts++];
	mount->from = node_secrets_directory(job->env, job->id);
	mount->to = xstrdup(NODE_SECRETS_MOUNT);
	mount->copied = true;
	return 0;
}

/* A published port is open on all addresses; the others only on the host's own. Where a node has an address of its own,
 * its ports are there, and who may reach them is the firewall's matter. */
static void add_ports(const struct node_job *job, struct request *request)
{
	request->ports = xcalloc(job->spec->n_ports, sizeof(*request->ports));
	for (size_t i = 0; i < job->spec->n_ports; i++) {
		const struct node_port *port = &job->spec->ports[i];

		request->ports[request->n_ports++] = (struct runtime_port){
			.name = xstrdup(port->name),
			.address = xstrdup(port->publish ? "0.0.0.0" : job->env->address),
			.port = port->port,
			.host_port = port->publish,
			.udp = port->udp,
		};
	}
}

static void add_environment(const struct node_job *job, const struct recipe *recipe, struct request *request)
{
	_cleanup_(freep) char *owners = node_secret_owners(job->spec);

	for (size_t i = 0; i < recipe->n_env; i++)
		strv_addf(&request->env, "%s=%s", recipe->env[i].item.name, recipe->env[i].value);
	strv_addf(&request->env, "TEPUY_NODE=%s/%s", job->id->service, job->id->node);
	strv_addf(&request->env, "TEPUY_SECRETS=%s", owners);
}

/* Labelled with them, so that they can be taken again should Consul forget them. */
static int add_networks(const struct node_job *job, struct request *request, struct err *err)
{
	struct buf text = { 0 };
	int r;

	if (!job->env->guests)
		return 0;
	r = guests_take(job->env->guests, job->id->text, &request->networks, &request->n_networks, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < request->n_networks; i++)
		buf_printf(&text, "%s%s", i ? "," : "", request->networks[i].address);
	strv_addf(&request->labels, "%s=%s", GUESTS_LABEL, buf_text(&text));
	buf_release(&text);
	return 0;
}

/* A machine has its memory for itself, so that it needs a bound. */
static uint64_t memory_of(const struct node_job *job)
{
	if (job->spec->memory || !job->env->runtime->ops->machines)
		return (uint64_t)job->spec->memory;
	return PLAN_MACHINE_MEMORY;
}

char *node_keepsake(const struct node_spec *spec)
{
	_cleanup_json_ json_t *json = node_spec_to_json(spec);

	return json_canonical(json);
}

static int create(const struct node_job *job, const struct node_image *image, char **ret_id, struct err *err)
{
	_cleanup_(request_release) struct request request = { 0 };
	_cleanup_(freep) char *assignment = node_keepsake(job->spec);
	struct runtime *rt = job->env->runtime;
	struct runtime_spec spec;
	int r = add_volumes(job, &request, err);

	if (r == 0)
		r = add_secrets(job, &request, err);
	if (r == 0)
		r = rt->ops->import(rt, &image->image, &request.image_ref, err);
	if (r == 0)
		r = add_networks(job, &request, err);
	if (r < 0)
		return r;
	add_ports(job, &request);
	add_environment(job, image->recipe, &request);
	request.host_name = node_host_name(job->id);
	strv_addf(&request.labels, "%s=%s", RUNTIME_LABEL_INSTANCE, job->id->text);
	strv_addf(&request.labels, "%s=%s", RUNTIME_LABEL_SPEC, job->spec->fingerprint);
	strv_addf(&request.labels, "%s=%s", RUNTIME_LABEL_ASSIGNMENT, assignment);
	strv_add(&request.argv, NODE_SCRIPT_PATH);
	spec = (struct runtime_spec){
		.name = job->id->runtime_name,
		.host_name = request.host_name,
		.labels = &request.labels,
		.image = &image->image,
		.image_ref = request.image_ref,
		.argv = &request.argv,
		.env = &request.env,
		.mounts = request.mounts,
		.n_mounts = request.n_mounts,
		.ports = request.ports,
		.n_ports = request.n_ports,
		.memory = memory_of(job),
		.cpus = job->spec->cpus,
		.memory_max = (uint64_t)job->spec->memory_max,
		.cpus_max = job->spec->cpus_max,
		.stop_signal = image->recipe->stop.signal,
		.networks = request.networks,
		.n_networks = request.n_networks,
	};
	return runtime_create(rt, &spec, ret_id, err);
}

/* Secrets lie on a tmpfs: after a restart of the host they are gone while the container is still there. */
static int refresh_secrets(const struct node_job *job, struct err *err)
{
	_cleanup_strv_ struct strv names = { 0 };

	node_secret_names(job->spec, &names);
	return names.n ? node_secrets_write(job->env, job->id, &names, err) : 0;
}

/* The addresses of one that is there already are still its own. */
static int confirm_addresses(const struct node_job *job, const struct runtime_node *node, struct err *err)
{
	const char *addresses = runtime_node_label(node, GUESTS_LABEL);

	return job->env->guests && addresses ? guests_confirm(job->env->guests, job->id->text, addresses, err) : 0;
}

/*
 * What a node that is there already needs before it is started again. One that is half made, as when the agent was
 * killed at it, is made anew: `container` becomes NULL.
 */
static int refresh(const struct node_job *job, char **container, struct err *err)
{
	struct runtime *rt = job->env->runtime;
	struct runtime_node node = { 0 };
	int r = rt->ops->inspect(rt, *container, &node, err);

	if (r < 0)
		return r;
	if (node.state == RUNTIME_BROKEN) {
		r = rt->ops->remove(rt, *container, err);
		free(TAKE_PTR(*container));
	} else
		r = confirm_addresses(job, &node, err);
	runtime_node_release(&node);
	return r < 0 || !*container ? r : refresh_secrets(job, err);
}

static struct runtime_file to_put(const struct node_file *file, const char *path)
{
	return (struct runtime_file){
		.path = (char *)path,
		.data = buf_text(&file->text),
		.len = file->text.len,
		.mode = file->from->mode ? file->from->mode : 0644,
		.owner = file->from->owner,
	};
}

static int put_file(const struct node_job *job, const struct node_file *file, const char *path, struct err *err)
{
	struct runtime_file put = to_put(file, path);
	struct runtime *rt = job->env->runtime;

	return rt->ops->put(rt, job->container, &put, 1, err);
}

/* All at once: the runtime has to open a node that does not run yet each time. */
int node_put_files(const struct node_env *env, const char *container, const struct node_files *files, struct err *err)
{
	_cleanup_(freep) struct runtime_file *put = xcalloc(files->n, sizeof(*put));
	struct runtime *rt = env->runtime;

	for (size_t i = 0; i < files->n; i++)
		put[i] = to_put(&files->list[i], files->list[i].from->to);
	return files->n ? rt->ops->put(rt, container, put, files->n, err) : 0;
}

/* Last of all: what was put but not yet taken up by the node is put and reloaded again. */
static int remember_all(const struct node_job *job, const struct node_files *files, struct err *err)
{
	_cleanup_(freep) char *fingerprint = json_fingerprint(job->context);
	int r = 0;

	for (size_t i = 0; r == 0 && i < files->n; i++)
		if (files->list[i].changed)
			r = node_files_remember(job->env, job->id, &files->list[i], err);
	return r < 0 ? r : node_files_set_context(job->env, job->id, fingerprint, err);
}

static int put_all(const struct node_job *job, const struct recipe *recipe, const char *container, struct err *err)
{
	_cleanup_(node_files_release) struct node_files files = { 0 };
	int r = node_files_render(job->env, job->id, recipe, job->context, &files, err);

	for (size_t i = 0; r == 0 && i < files.n; i++)
		files.list[i].changed = true;
	if (r == 0)
		r = node_put_files(job->env, container, &files, err);
	return r < 0 ? r : remember_all(job, &files, err);
}

int node_launch(const struct node_job *job, struct runtime_node *ret, struct err *err)
{
	_cleanup_(node_image_release) struct node_image image = { 0 };
	_cleanup_(freep) char *container = xstrdup(job->container);
	struct runtime *rt = job->env->runtime;
	int r = node_image_find(job->env, job->spec, &image, err);

	if (r < 0)
		return r;
	if (container)
		r = refresh(job, &container, err);
	if (r == 0 && !container)
		r = create(job, &image, &container, err);
	if (r == 0)
		r = put_all(job, image.recipe, container, err);
	if (r == 0)
		r = rt->ops->start(rt, container, err);
	if (r == 0)
		r = rt->ops->inspect(rt, container, ret, err);
	return r;
}

void node_validation(const struct node_file *file, const char *path, struct strv *ret)
{
	for (size_t i = 0; i < file->from->validate.n; i++)
		strv_add(ret, strcmp(file->from->validate.v[i], "{}") ? file->from->validate.v[i] : path);
}

/* Runs a validator with {} as the new file beside the old one. */
static int validate(const struct node_job *job, const struct node_file *file, const char *beside, struct err *err)
{
	_cleanup_strv_ struct strv argv = { 0 };
	_cleanup_buf_ struct buf output = { 0 };
	struct runtime_exec exec = { .argv = &argv };
	struct runtime *rt = job->env->runtime;
	int r;

	node_validation(file, beside, &argv);
	if (!argv.n)
		return 0;
	r = rt->ops->exec(rt, job->container, &exec, &output, err);
	if (r <= 0)
		return r;
	return err_set(err, EBADMSG, _("The new %s of %s does not validate, the old one stays: %s"), file->from->to,
		       job->id->node, buf_text(&output));
}

static int replace(const struct node_job *job, const struct node_file *file, struct err *err)
{
	_cleanup_(freep) char *beside = xasprintf("%s.tepuy-new", file->from->to);
	int r = 0;

	if (file->from->validate.n) {
		r = put_file(job, file, beside, err);
		if (r == 0)
			r = validate(job, file, beside, err);
	}
	return r < 0 ? r : put_file(job, file, file->from->to, err);
}

static int reload(const struct node_job *job, const struct recipe *recipe, struct err *err)
{
	_cleanup_buf_ struct buf output = { 0 };
	struct runtime_exec exec = { .argv = &recipe->reload };
	struct runtime *rt = job->env->runtime;
	int r;

	if (!recipe->reload.n)
		return 0;
	r = rt->ops->exec(rt, job->container, &exec, &output, err);
	if (r > 0)
		return err_set(err, EIO, _("The reload of %s failed with exit status %d: %s"), job->id->node, r,
			       buf_text(&output));
	return r;
}

static int restart(const struct node_job *job, const struct recipe *recipe, struct err *err)
{
	struct runtime *rt = job->env->runtime;
	int r = rt->ops->stop(rt, job->container, recipe->stop.timeout, err);

	return r < 0 ? r : rt->ops->start(rt, job->container, err);
}

/* What differs in server lines only has gone through the runtime socket already; the file just follows. */
static bool needs_no_reload(const struct recipe *recipe, const struct node_file *file)
{
	_cleanup_(haproxy_config_freep) struct haproxy_config *from = NULL, *to = NULL;

	if (!recipe->haproxy.socket || !file->before.len ||
	    haproxy_config_parse(buf_text(&file->before), file->before.len, &from, NULL) < 0 ||
	    haproxy_config_parse(buf_text(&file->text), file->text.len, &to, NULL) < 0)
		return false;
	return haproxy_config_compare(from, to, NULL) != HAPROXY_MUST_RELOAD;
}

int node_configure(const struct node_job *job, struct err *err)
{
	_cleanup_(node_files_release) struct node_files files = { 0 };
	_cleanup_(recipe_freep) struct recipe *recipe = NULL;
	bool wants_reload = false, wants_restart = false;
	int r = node_recipe(job->env, job->spec, &recipe, err);

	if (r == 0)
		r = node_files_render(job->env, job->id, recipe, job->context, &files, err);
	for (size_t i = 0; r == 0 && i < files.n; i++) {
		struct node_file *file = &files.list[i];

		if (!file->changed)
			continue;
		r = replace(job, file, err);
		if (needs_no_reload(recipe, file))
			continue;
		wants_reload |= file->from->on_change == ON_CHANGE_RELOAD;
		wants_restart |= file->from->on_change == ON_CHANGE_RESTART;
	}
	if (r == 0 && wants_restart)
		r = restart(job, recipe, err);
	else if (r == 0 && wants_reload)
		r = reload(job, recipe, err);
	return r < 0 ? r : remember_all(job, &files, err);
}

static struct runtime_limits limits_of(const struct node_spec *spec)
{
	return (struct runtime_limits){ .memory = spec->memory_max ? (uint64_t)spec->memory : 0,
					.cpus = spec->cpus_max > 0 ? spec->cpus : 0 };
}

int node_resize(const struct node_job *job, struct err *err)
{
	struct runtime_limits limits = limits_of(job->spec);

	return job->env->runtime->ops->resize(job->env->runtime, job->container, &limits, err);
}

char *node_limits_text(const struct node_spec *spec)
{
	struct runtime_limits limits = limits_of(spec);

	return limits.memory || limits.cpus > 0
		   ? xasprintf("memory %llu cpus %g", (unsigned long long)limits.memory, limits.cpus)
		   : NULL;
}

int node_stop(const struct node_job *job, struct err *err)
{
	_cleanup_(recipe_freep) struct recipe *recipe = NULL;
	struct runtime *rt = job->env->runtime;
	int64_t timeout = 20000;

	if (!job->container)
		return 0;
	if (job->spec && node_recipe(job->env, job->spec, &recipe, NULL) == 0)
		timeout = recipe->stop.timeout;
	return rt->ops->stop(rt, job->container, timeout, err);
}

int node_remove(const struct node_job *job, struct err *err)
{
	struct runtime *rt = job->env->runtime;
	int r = node_stop(job, err);

	if (r == 0 && job->container)
		r = rt->ops->remove(rt, job->container, err);
	if (r < 0)
		return r;
	node_secrets_remove(job->env, job->id);
	node_files_forget(job->env, job->id);
	return 0;
}

static int keep_tail(void *data, int stream, const char *bytes, size_t len)
{
	struct buf *text = data;

	(void)stream;
	buf_add(text, bytes, len);
	return 0;
}

char *node_log_tail(const struct node_job *job, int lines, size_t most)
{
	struct runtime *rt = job->env->runtime;
	struct buf text = { 0 };

	if (job->container && rt->ops->logs)
		rt->ops->logs(rt, job->container, lines, false, false, -1, keep_tail, &text, NULL);
	if (text.len > most)
		buf_consume(&text, text.len - most);
	return buf_take(&text);
}
