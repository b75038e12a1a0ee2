/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/thread.h"

#include <signal.h>

int thread_create(pthread_t *ret, const pthread_attr_t *attributes, void *(*fn)(void *data), void *data)
{
	sigset_t all, before;
	int code;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(ret, attributes, fn, data);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return code;
}

int thread_detach(void *(*fn)(void *data), void *data)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int code;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	code = thread_create(&thread, &attributes, fn, data);
	pthread_attr_destroy(&attributes);
	return code;
}
