/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Calls at full speed, with nothing else in the loop, counted: `calls KIND CALLS [THREADS [SECONDS]]`.
 *
 * readv: 64 bytes out of a child; writev: 4 KiB into it; gather: 16 times 64 bytes into one range of it; vmsplice: one
 * page into a pipe, which is read empty; getppid: a syscall that is none of vmtrace's business. CALLS are per thread, 0
 * for no limit. Prints one line of JSON: what was done by event, and on CLOCK_MONOTONIC when main began and the last
 * call ended.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SEGMENTS = 16, SEGMENT = 64, PAGE = 4096 };

struct worker {
	pthread_t thread;
	unsigned long long calls, ok;
	char *local;
};

static char *remote;
static pid_t target;
static unsigned long long limit;
static double seconds;
static pthread_barrier_t start;

static long long now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* One kind of call: `loop` runs EXPECTED == CALL until it is enough. The clock is asked once in 1,024 calls. */
#define LOOP(expected, call)                                                                                           \
	do {                                                                                                           \
		long long until = seconds > 0 ? now(CLOCK_MONOTONIC) + (long long)(seconds * 1e9) : 0;                 \
		while (!limit || worker->calls < limit) {                                                              \
			if (until && !(worker->calls & 1023) && now(CLOCK_MONOTONIC) >= until)                         \
				break;                                                                                 \
			worker->ok += (call) == (expected);                                                            \
			worker->calls++;                                                                               \
		}                                                                                                      \
	} while (0)

static void readv_loop(struct worker *worker)
{
	struct iovec to = {worker->local, SEGMENT}, from = {remote, SEGMENT};

	LOOP(SEGMENT, process_vm_readv(target, &to, 1, &from, 1, 0));
}

static void writev_loop(struct worker *worker)
{
	struct iovec from = {worker->local, PAGE}, to = {remote, PAGE};

	LOOP(PAGE, process_vm_writev(target, &from, 1, &to, 1, 0));
}

static void gather_loop(struct worker *worker)
{
	struct iovec from[SEGMENTS], to = {remote, SEGMENTS * SEGMENT};

	for (int i = 0; i < SEGMENTS; i++)
		from[i] = (struct iovec){worker->local + 2 * i * SEGMENT, SEGMENT};
	LOOP(SEGMENTS * SEGMENT, process_vm_writev(target, from, SEGMENTS, &to, 1, 0));
}

static void vmsplice_loop(struct worker *worker)
{
	struct iovec from = {worker->local, PAGE};
	int ends[2];

	if (pipe(ends))
		return;
	LOOP(2 * PAGE, vmsplice(ends[1], &from, 1, 0) + read(ends[0], worker->local + PAGE, PAGE));
	close(ends[0]);
	close(ends[1]);
}

static void getppid_loop(struct worker *worker)
{
	pid_t parent = getppid();

	LOOP(parent, syscall(SYS_getppid));
}

static const struct kind {
	const char *name;
	void (*loop)(struct worker *worker);
	const char *events[2];
} kinds[] =
	{
		{"readv", readv_loop, {"process_vm_readv"}},
		{"writev", writev_loop, {"process_vm_writev"}},
		{"gather", gather_loop, {"process_vm_writev"}},
		{"vmsplice", vmsplice_loop, {"vmsplice", "pipe_read"}},
		{"getppid", getppid_loop, {NULL}},
},
  *kind;

static void *work(void *arg)
{
	pthread_barrier_wait(&start);
	kind->loop(arg);
	return NULL;
}

static char *pages(void)
{
	char *memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		exit(2);
	/* Numbers that differ, so that what is written to disk is neither noise nor nothing. */
	for (int i = 0; i < 2 * PAGE; i += 8)
		*(long long *)(memory + i) = i;
	return memory;
}

int main(int argc, char **argv)
{
	long long began = now(CLOCK_MONOTONIC), cpu, first, ended;
	int threads = argc > 3 ? atoi(argv[3]) : 1;
	unsigned long long calls = 0, ok = 0;
	struct worker *workers;

	for (size_t i = 0; argc > 2 && i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(argv[1], kinds[i].name))
			kind = &kinds[i];
	if (!kind || threads < 1)
		return fprintf(stderr, "usage: calls KIND CALLS [THREADS [SECONDS]]\n"), 2;
	limit = strtoull(argv[2], NULL, 10);
	seconds = argc > 4 ? atof(argv[4]) : 0;
	remote = pages();
	target = fork();
	if (!target) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	workers = calloc(threads, sizeof(*workers));
	pthread_barrier_init(&start, NULL, threads + 1);
	for (int i = 0; i < threads; i++) {
		workers[i].local = pages();
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	cpu = -now(CLOCK_PROCESS_CPUTIME_ID);
	first = now(CLOCK_MONOTONIC);
	pthread_barrier_wait(&start);
	for (int i = 0; i < threads; i++) {
		pthread_join(workers[i].thread, NULL);
		calls += workers[i].calls;
		ok += workers[i].ok;
	}
	ended = now(CLOCK_MONOTONIC);
	cpu += now(CLOCK_PROCESS_CPUTIME_ID);
	kill(target, SIGKILL);
	waitpid(target, NULL, 0);
	printf("{\"calls\": {");
	for (int i = 0; i < 2 && kind->events[i]; i++)
		printf("%s\"%s\": %llu", i ? ", " : "", kind->events[i], calls);
	printf("}, \"made\": %llu, \"elapsed_ns\": %lld, \"cpu_ns\": %lld, \"began_ns\": %lld, \"ended_ns\": %lld}\n",
	       calls, ended - first, cpu, began, ended);
	return ok == calls ? 0 : 1;
}
