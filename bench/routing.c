/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * When does HAProxy know what Consul knows? Looks at HAProxy's own runtime socket, beside tepuy.
 *   routing wait CONSUL SERVICE SOCKET BACKEND N    until N instances are passing in Consul and N servers are ready in
 *                                                   HAProxy; 1 after a minute
 *   routing latency CONSUL SERVICE SOCKET BACKEND CHECK N
 *                                                   changes a ttl check N times; prints for each the microseconds from
 *                                                   the request until a blocking query of ours has told it, and until
 *                                                   HAProxy has it
 *   routing reload SOCKET COMMAND…                  runs it; the microseconds until another worker answers
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/run.h"
#include "consul/consul-decode.h"
#include "consul/consul.h"
#include "proxy/haproxy-proto.h"

#define MOST_S 60
/* Between two looks at HAProxy's socket: well under what is measured, and no load to speak of. */
#define LOOK_NS 200000

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void pause_ns(long ns)
{
	nanosleep(&(struct timespec){ .tv_nsec = ns }, NULL);
}

/* One command, one answer; nothing when HAProxy is not there. */
static void ask(const char *path, const char *command, struct buf *to)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ssize_t n = 1;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    fs_write_all(fd, command, strlen(command)) < 0)
		return;
	while (n > 0) {
		n = read(fd, buf_reserve(to, 4096), 4096);
		if (n > 0)
			to->len += (size_t)n;
	}
	buf_addc(to, '\0');
}

static int count_ready(const char *socket, const char *backend, const char *server)
{
	_cleanup_haproxy_table_ struct haproxy_table table = { 0 };
	_cleanup_buf_ struct buf text = { 0 };
	int ready = 0;

	ask(socket, "show servers state\n", &text);
	if (haproxy_read_state(buf_text(&text), &table, NULL) < 0)
		return 0;
	for (size_t i = 0; i < table.n; i++) {
		const struct haproxy_row *row = &table.rows[i];
		unsigned out = HAPROXY_FORCED_MAINT | HAPROXY_INHERITED_MAINT | HAPROXY_FORCED_DRAIN;

		if (!strcmp(row->backend, backend) && (!server || !strcmp(row->server, server)))
			ready += row->operation == 2 && !(row->admin & out);
	}
	return ready;
}

static bool is_passing(const struct consul_service *service)
{
	for (size_t i = 0; i < service->checks.n; i++)
		if (service->checks.v[i].status != CONSUL_PASSING)
			return false;
	return true;
}

static int count_passing(struct consul *consul, const char *name)
{
	_cleanup_consul_services_ struct consul_services services = { 0 };
	int passing = 0;

	if (consul_health_service(consul, name, &services, NULL) < 0)
		return 0;
	for (size_t i = 0; i < services.n; i++)
		passing += is_passing(&services.v[i]);
	return passing;
}

static int wait_for(struct consul *consul, char **argv)
{
	int64_t until = now_us() + MOST_S * 1000000LL;
	int n = atoi(argv[3]);

	while (count_ready(argv[1], argv[2], NULL) != n || count_passing(consul, argv[0]) != n) {
		if (now_us() >= until)
			return 1;
		pause_ns(5000000);
	}
	return 0;
}

/* The floor: what Consul's own blocking query needs for the same change, in the same run. */
struct floor {
	const char *base, *service, *check;
	_Atomic int status;   /* last told */
	_Atomic int64_t told; /* when, us */
	_Atomic bool stop;
};

static enum consul_status status_of(const struct consul_services *services, const char *check)
{
	for (size_t i = 0; i < services->n; i++)
		for (size_t j = 0; j < services->v[i].checks.n; j++)
			if (!strcmp(services->v[i].checks.v[j].id, check))
				return services->v[i].checks.v[j].status;
	return CONSUL_UNKNOWN;
}

static void take_told(struct floor *floor, const struct http_reply *reply, int64_t when)
{
	_cleanup_consul_services_ struct consul_services services = { 0 };
	json_t *json = NULL;

	if (consul_json(buf_text(&reply->body), reply->body.len, &json, NULL) < 0)
		return;
	if (consul_decode_health(json, &services, NULL) == 0 &&
	    (int)status_of(&services, floor->check) != floor->status) {
		floor->told = when;
		floor->status = status_of(&services, floor->check);
	}
	json_decref(json);
}

static void *floor_main(void *data)
{
	struct floor *floor = data;
	_cleanup_(http_freep) struct http *http = http_new(floor->base, NULL);
	uint64_t index = 0;

	while (!floor->stop) {
		_cleanup_(freep) char *path =
		    xasprintf("/v1/health/service/%s?wait=1s&index=%" PRIu64, floor->service, index);
		struct http_request request = { .method = "GET", .path = path };
		struct http_reply reply = { 0 };

		if (http_request(http, &request, &reply, NULL) < 0)
			continue;
		index = reply.index;
		take_told(floor, &reply, now_us());
		http_reply_release(&reply);
	}
	return NULL;
}

static bool change(struct consul *consul, struct floor *floor, char **argv, const char *server, bool well)
{
	enum consul_status status = well ? CONSUL_PASSING : CONSUL_CRITICAL;
	int64_t start = now_us(), routed;

	if (consul_check_update(consul, floor->check, status, "bench", NULL) < 0)
		return false;
	while (count_ready(argv[1], argv[2], server) != well) {
		if (now_us() - start > MOST_S * 1000000LL)
			return false;
		pause_ns(LOOK_NS);
	}
	routed = now_us();
	while (floor->status != (int)status)
		pause_ns(LOOK_NS);
	printf("%" PRId64 " %" PRId64 "\n", floor->told - start, routed - start);
	pause_ns(250000000); /* what follows a change is over before the next one */
	return true;
}

/* "portal-web-1.5:ttl-1" is about HAProxy's server "web-1.5". */
static int latency(struct consul *consul, char **argv)
{
	struct floor floor = { .base = consul_base(consul), .service = argv[0], .check = argv[3] };
	_cleanup_(freep) char *server = xstrndup(argv[3], strcspn(argv[3], ":"));
	int n = atoi(argv[4]), done = 0;
	pthread_t thread;

	pthread_create(&thread, NULL, floor_main, &floor);
	/* the service's name is "portal-web", the component's begins behind its last '-' */
	while (done < n && change(consul, &floor, argv, server + (strrchr(argv[0], '-') + 1 - argv[0]), done % 2))
		done++;
	floor.stop = true;
	pthread_join(thread, NULL);
	return done < n;
}

static uint64_t worker(const char *socket)
{
	_cleanup_(haproxy_info_release) struct haproxy_info info = { 0 };
	_cleanup_buf_ struct buf text = { 0 };

	ask(socket, "show info\n", &text);
	return haproxy_read_info(buf_text(&text), &info, NULL) < 0 || info.stopping ? 0 : info.pid;
}

static int reload(char **argv)
{
	_cleanup_run_ struct run run = { 0 };
	uint64_t before = worker(argv[0]), after;
	int64_t start;

	for (size_t i = 1; argv[i]; i++)
		strv_add(&run.argv, argv[i]);
	start = now_us();
	if (run_checked(&run, NULL, NULL) < 0)
		return 1;
	while ((after = worker(argv[0])) == before || !after) {
		if (now_us() - start > MOST_S * 1000000LL)
			return 1;
		pause_ns(LOOK_NS);
	}
	printf("%" PRId64 "\n", now_us() - start);
	return 0;
}

int main(int argc, char **argv)
{
	_cleanup_(consul_freep) struct consul *consul = NULL;

	if (argc >= 4 && !strcmp(argv[1], "reload"))
		return reload(argv + 2);
	if (argc < 7)
		return 2;
	consul = consul_new(argv[2], NULL, NULL);
	if (argc == 7 && !strcmp(argv[1], "wait"))
		return wait_for(consul, argv + 3);
	if (argc == 8 && !strcmp(argv[1], "latency"))
		return latency(consul, argv + 3);
	return 2;
}
