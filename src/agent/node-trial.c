/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/node-trial.h"

#include <errno.h>
#include <string.h>

#include "agent/node-context.h"
#include "agent/node-files.h"
#include "agent/node-image.h"
#include "agent/node-secrets.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/text.h"

/* It waits to be asked; the next look at the runtime takes away one that was left over. */
static const char *const idle[] = { "/bin/sh", "-c", "sleep 3600" };

static struct instance_id trial_id(const struct instance_id *of)
{
	struct instance_id id = *of; /* borrowed, but for one */

	id.runtime_name =
	    xasprintf("tepuy-trial.%s.%s.%u.%llu", of->service, of->component, of->n, (unsigned long long)of->gen);
	return id;
}

static int create(const struct node_job *job, const struct instance_id *id, const struct node_image *image,
		  const struct strv *secrets, char **ret_container, struct err *err)
{
	_cleanup_(freep) char *image_ref = NULL, *directory = node_secrets_directory(job->env, id);
	struct runtime_mount mount = { .from = directory, .to = (char *)NODE_SECRETS_MOUNT, .read_only = true };
	_cleanup_strv_ struct strv labels = { 0 }, argv = { 0 };
	struct runtime *rt = job->env->runtime;
	struct runtime_spec spec = {
		.name = id->runtime_name,
		.labels = &labels,
		.image = &image->image,
		.argv = &argv,
		.mounts = &mount,
		.n_mounts = secrets->n ? 1 : 0,
		.memory = (uint64_t)job->spec->memory,
		.isolated = true,
	};
	int r = secrets->n ? node_secrets_write(job->env, id, secrets, err) : 0;

	if (r == 0)
		r = rt->ops->import(rt, &image->image, &image_ref, err);
	if (r < 0)
		return r;
	spec.image_ref = image_ref;
	strv_addf(&labels, "%s=%s%s", RUNTIME_LABEL_INSTANCE, NODE_TRIAL_LABEL, id->text);
	strv_addf(&labels, "%s=%s", NODE_TRIAL_OWNER, job->env->state_dir);
	for (size_t i = 0; i < ARRAY_SIZE(idle); i++)
		strv_add(&argv, idle[i]);
	return runtime_create(rt, &spec, ret_container, err);
}

static int validate(const struct node_job *job, const char *container, const struct node_file *file, struct err *err)
{
	_cleanup_strv_ struct strv argv = { 0 };
	_cleanup_buf_ struct buf output = { 0 };
	_cleanup_(freep) char *words = NULL;
	struct runtime_exec exec = { .argv = &argv };
	struct runtime *rt = job->env->runtime;
	int r;

	if (!file->from->validate.n)
		return 0;
	node_validation(file, file->from->to, &argv);
	r = rt->ops->exec(rt, container, &exec, &output, err);
	if (r <= 0)
		return r;
	words = buf_take(&output);
	text_printable(words, true);
	if (!*words) {
		free(words);
		words = xasprintf(_("exit status %d"), r);
	}
	return err_set(err, EBADMSG,
		       _("%s, made from its template, does not validate; mend the template or what fills it: %s"),
		       file->from->to, words);
}

static bool has_validations(const struct recipe *recipe)
{
	for (size_t i = 0; i < recipe->n_templates; i++)
		if (recipe->templates[i].validate.n)
			return true;
	return false;
}

static int try_in(const struct node_job *job, const char *container, const struct node_files *files, struct err *err)
{
	struct runtime *rt = job->env->runtime;
	int r = rt->ops->start(rt, container, err);

	if (r == 0)
		r = node_put_files(job->env, container, files, err);
	for (size_t i = 0; r == 0 && i < files->n; i++)
		r = validate(job, container, &files->list[i], err);
	return r;
}

static void take_away(const struct node_env *env, const struct instance_id *id, const char *container)
{
	_cleanup_err_ struct err err = ERR_INIT;

	if (env->runtime->ops->remove(env->runtime, container, &err) < 0)
		log_warning("%s", err_text(&err)); /* the next look at the runtime finds it */
	node_secrets_remove(env, id);
}

static int try_all(const struct node_job *job, const struct instance_id *id, const struct node_image *image,
		   struct err *err)
{
	_cleanup_(node_files_release) struct node_files files = { 0 };
	_cleanup_(freep) char *container = NULL;
	_cleanup_strv_ struct strv secrets = { 0 };
	int r = node_files_render(job->env, id, image->recipe, job->context, &files, err);

	if (r < 0)
		return r;
	node_secret_names(job->spec, &secrets);
	take_away(job->env, id, id->runtime_name); /* of an earlier try */
	r = create(job, id, image, &secrets, &container, err);
	if (r == 0)
		r = try_in(job, container, &files, err);
	take_away(job->env, id, container ? container : id->runtime_name);
	return r;
}

int node_trial(const struct node_job *job, struct err *err)
{
	_cleanup_(node_image_release) struct node_image image = { 0 };
	_cleanup_(freep) char *name = NULL;
	struct instance_id id;
	int r;

	if (!job->env->runtime->ops->quick || !job->context)
		return 0;
	r = node_image_find(job->env, job->spec, &image, err);
	if (r < 0 || !has_validations(image.recipe))
		return r;
	id = trial_id(job->id);
	name = id.runtime_name;
	return try_all(job, &id, &image, err);
}

void node_trial_sweep(const struct node_env *env, const char *container, const char *label)
{
	struct instance_id of, id;

	if (instance_id_parse(label + strlen(NODE_TRIAL_LABEL), &of, NULL) < 0)
		return;
	id = trial_id(&of);
	take_away(env, &id, container);
	free(id.runtime_name);
	instance_id_release(&of);
}
