/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Shared by the files of the Xen driver only. In `directory` of xen.json:
 *   key, key.pub         the driver's own SSH key, which every machine lets in
 *   golden/<image>.img   an image as a disk, copied (or shared, or a logical volume with snapshots) for each node
 *   nodes/<name>/        node.json, disk.img or disk (a link to the logical volume), xl.cfg; locked (flock) by whoever
 *                        changes something of the node
 *   nodes/.new-XXXXXX    a node that is not there yet; anybody's to remove when nobody holds its lock
 *   state/<name>.json    struct xen_record; a node without one is half made
 *   volumes/<hash>.lock  which node uses a volume
 */
#ifndef TEPUY_RUNTIME_XEN_H
#define TEPUY_RUNTIME_XEN_H

#include <pthread.h>

#include "runtime/runtime.h"
#include "runtime/xen-config.h"
#include "runtime/xen-disk.h"
#include "runtime/xen-node.h"
#include "ssh/remote.h"

#define XEN_GUESTS 64 /* machines whose sessions are kept */
#define XEN_IDLE 3    /* sessions kept of one */

#define XEN_CONSOLES "/var/log/xen/console"
#define XEN_DISK_LINK "disk" /* in a node's directory; before the volume is made */

struct mux;

/* What is open to a machine. */
struct xen_guest {
	char *name;
	int64_t run; /* of the record: sessions of an earlier run are dropped */
	struct remote *idle[XEN_IDLE];
	size_t n_idle;
	struct mux *mux;  /* for dial; NULL until it is needed */
	unsigned dialing; /* who uses `mux` now */
	int64_t used;
};

struct xen {
	char *file;
	pthread_mutex_t lock; /* of all that follows */
	bool loaded;
	struct xen_config config;
	enum xen_type can; /* XEN_ANY: not asked yet */
	struct xen_guest *guests[XEN_GUESTS];
	size_t n_guests;
	_Atomic bool *stopping; /* NULL: never; a long wait ends with -ECANCELED */
};

struct xen *xen_of(struct runtime *rt);
/* Reads xen.json, once. `*ret` is borrowed and never changes. */
int xen_config_of(struct xen *xen, const struct xen_config **ret, struct err *err);

/* Paths; the caller owns them. */
char *xen_path(const struct xen_config *config, const char *kind, const char *name);
char *xen_node_path(const struct xen_config *config, const char *name, const char *file);
char *xen_record_path(const struct xen_config *config, const char *name);
/* The node's disk: a file or a logical volume. Where it was made, whatever the configuration says by now. */
char *xen_node_disk(const struct xen_config *config, const char *name);
/* The volume group of a node's disk; NULL: it is a file. */
char *xen_node_group(const struct xen_config *config, const char *name);
char *xen_golden(const struct xen_config *config, const char *image);
/* The volume's disk: the block device, or disk.img in the directory. */
int xen_volume_disk(const struct runtime_mount *mount, char **ret, bool *ret_is_device, struct err *err);

/* xl. */
int xen_list_domains(struct xen *xen, struct xen_domains *ret, struct err *err);
/* Whether there is one, be it half made or ended: it has its memory and its disks. */
int xen_domain_present(struct xen *xen, const char *name, bool *ret, struct err *err);
/* Whether it has not ended. */
int xen_domain_runs(struct xen *xen, const char *name, bool *ret, struct err *err);
/* Destroys it and waits until it is gone; absent: 0. */
int xen_destroy(struct xen *xen, const char *name, struct err *err);
/* Waits until it is gone, and clears it away when its system has ended: 0, -ETIMEDOUT. */
int xen_wait_gone(struct xen *xen, const char *name, int64_t ms, struct err *err);
int xen_info(const char *key, char **ret, struct err *err);

/* The lock of a node that is there: -ENOENT; -EBUSY when `wait_ms` (0: do not wait) are over. The caller closes it. */
int xen_lock_node(const struct xen_config *config, const char *name, int64_t wait_ms, struct err *err);
/* A node's description and state. -ENOENT no such node, -EPERM a machine that tepuy did not make; a half-made one has
 * no record: `*ret_record` is false then. Release `node`. */
int xen_load_node(struct xen *xen, const char *name, struct xen_node *node, struct xen_record *record, bool *ret_record,
		  struct err *err);
int xen_save_node(const struct xen_config *config, const struct xen_node *node, struct err *err);
int xen_save_record(const struct xen_config *config, const char *name, const struct xen_record *record,
		    struct err *err);
/* Names of all nodes, sorted. */
int xen_node_names(const struct xen_config *config, struct strv *ret, struct err *err);
/* Notes how a run ended whose domain is gone; the node's lock is held. */
int xen_note_end(struct xen *xen, const char *name, struct xen_record *record, struct err *err);
/* As xen_load_node of one that runs: -ESRCH. Asks Xen only when no session to the machine is open. */
int xen_find_running(struct xen *xen, const char *id, struct xen_node *node, struct xen_record *record,
		     struct err *err);

/* What is asked of a node before it is used: state, whether it is being made right now. */
struct xen_seen {
	struct xen_node node;
	struct xen_record record;
	enum runtime_state state;
	bool absent; /* being made or removed by somebody: as if it was not there */
	bool running;
};
void xen_seen_release(struct xen_seen *seen);
int xen_look(struct xen *xen, const char *name, const struct xen_domains *domains, struct xen_seen *ret,
	     struct err *err);

/* Making and ending, in xen-make.c and xen-life.c. */
int xen_provision(const struct xen_config *config, const struct xen_node *node, const char *disk, const char *key_file,
		  struct err *err);
int xen_make_key(const struct xen_config *config, struct err *err);
int xen_make_volumes(const struct xen_config *config, const struct xen_node *node, struct err *err);
/* /etc/fstab: by UUID, as labels are whatever somebody wrote. -EINVAL when two disks have the same. */
int xen_volumes_fstab(const struct xen_node *node, char **ret, struct err *err);
/* Takes the volumes for the node, which has been noted as being started: -EBUSY when another machine uses one, or is
 * being started with it. */
int xen_take_volumes(struct xen *xen, const struct xen_node *node, struct err *err);
/* Removes what a making or a removal that was killed left. */
void xen_sweep(const struct xen_config *config);
/* Makes a directory in nodes/ that bears no node's name yet; returns its lock, which the caller closes, or -errno. */
int xen_new_directory(const struct xen_config *config, char **ret, struct err *err);
/* Removes the logs of a machine's console: no other will bear its name. */
void xen_forget_console(const char *directory, const char *name);
int xen_remove_node(struct xen *xen, const char *name, struct err *err); /* the node's lock is held */

/* Sessions, in xen-ssh.c. `connect_ms` is subject to xen_patience. */
int xen_session(struct xen *xen, const struct xen_node *node, int64_t run, bool fresh, int64_t connect_ms,
		struct remote **ret, bool *ret_kept, struct err *err);
/* Gives a session back that is good; anything else is closed by its user. */
void xen_session_back(struct xen *xen, const char *name, int64_t run, struct remote *remote);
void xen_forget_sessions(struct xen *xen, const char *name);
/* Keeps a mux for a machine and returns the one to use, which counts as being dialed with; NULL: there is no room. What
 * is not kept is at *ret_old, to be freed. */
struct mux *xen_keep_mux(struct xen *xen, const char *name, int64_t run, struct mux *mux, struct mux **ret_old);
bool xen_has_session(struct xen *xen, const char *name, int64_t run);

/* A program in a machine, as the wrapper runs it: its first words tell its process group. */
struct xen_program {
	struct strv argv; /* for remote_command */
	char token[40];
	bool hold; /* until its group is known */
	int group; /* 0: not known */
	struct buf head;
	size_t searched; /* bytes of it */
};
void xen_program_init(struct xen_program *program, const struct xen_node *node, const char *user,
		      const struct strv *argv);
void xen_program_release(struct xen_program *program);
/* Takes output on the stream that the wrapper speaks on; what is left for the reader is at *ret, *ret_len. -EBADMSG:
 * the machine says something else, and a lot of it. */
int xen_program_feed(struct xen_program *program, const char *bytes, size_t len, const char **ret, size_t *ret_len);
/* It is run once more: nothing began. */
void xen_program_again(struct xen_program *program);
/* Signals it and its children. */
void xen_program_signal(struct xen *xen, const struct xen_node *node, int64_t run, const struct xen_program *program,
			const char *signal);
/* A command of the driver's own in the machine, as root: -EIO with its last words when it fails. */
int xen_command(struct remote *remote, const struct remote_command *command, struct buf *output, struct err *err);
/* One that may be said twice, as a session that was kept may turn out to be dead; in a session of its own choice. */
int xen_repeat_command(struct xen *xen, const struct xen_node *node, const struct xen_record *record,
		       const struct remote_command *command, struct buf *output, struct err *err);

/* Clocks, in xen-clock.c: sets that of a machine that runs when it is off by more than a second. Blocks for seconds. */
int xen_level_clock(struct xen *xen, const char *name, struct err *err);
/* By how many milliseconds a clock is to be put forward that said ("1763822514.894366000\n") between those two moments
 * of the host's; 0: it is not off by more than a second, or that cannot be told. -EBADMSG. */
int xen_clock_lacks(const char *said, int64_t before_ms, int64_t after_ms, int64_t *ret_ms);

/* Slots, in the files named after them. */
int xen_import(struct runtime *rt, const struct image *image, char **ret_ref, struct err *err);
int xen_prune(struct runtime *rt, const struct strv *images, struct err *err);
int xen_create(struct runtime *rt, const struct runtime_spec *spec, char **ret_id, struct err *err);
int xen_start(struct runtime *rt, const char *id, struct err *err);
/* As xen_start, unless it was told to stop meanwhile; -EAGAIN: somebody starts or stops it now. */
int xen_start_wanted(struct runtime *rt, const char *id, struct err *err);
int xen_stop(struct runtime *rt, const char *id, int64_t timeout_ms, struct err *err);
int xen_remove(struct runtime *rt, const char *id, struct err *err);
int xen_exec(struct runtime *rt, const char *id, const struct runtime_exec *exec, struct buf *output, struct err *err);
int xen_attach(struct runtime *rt, const char *id, const struct strv *argv, bool tty, int rows, int columns,
	       int *ret_fd, struct err *err);
int xen_put(struct runtime *rt, const char *id, const struct runtime_file *files, size_t n, struct err *err);
int xen_logs(struct runtime *rt, const char *id, int tail, bool follow, bool timestamps, int stop_fd, runtime_log_fn fn,
	     void *data, struct err *err);
int xen_resize(struct runtime *rt, const char *id, const struct runtime_limits *limits, struct err *err);
int xen_watch(struct runtime *rt, int stop_fd, runtime_event_fn fn, void *data, struct err *err);
int xen_dial(struct runtime *rt, const char *id, const char *path, int *ret_fd, struct err *err);

#endif
