/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Threads beside the one that signals are for. */
#ifndef TEPUY_BASE_THREAD_H
#define TEPUY_BASE_THREAD_H

#include <pthread.h>

/*
 * As pthread_create (0 or a positive errno), and the thread has all signals blocked. The kernel gives a signal to any
 * thread that does not block it: one that some other waits for, with a signalfd or an event loop, would be lost there.
 */
int thread_create(pthread_t *ret, const pthread_attr_t *attributes, void *(*fn)(void *data), void *data);
/* The same for one that nobody waits for: it owns `data`. */
int thread_detach(void *(*fn)(void *data), void *data);

#endif
