/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runs a command under one program of floor.bpf.c and throws its records away: `floor PROGRAM RING_BYTES COMMAND...`.
 * Says on standard error, as JSON, how many records there were and how many found no room. The ring is emptied every 5
 * ms.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "floor.skel.h"

static unsigned long long records;

static int take(void *context, void *data, size_t size)
{
	(void)context, (void)data, (void)size;
	records++;
	return 0;
}

/* A child that waits for a byte before it becomes the command. */
static pid_t prepare(char **command, int *go)
{
	int ends[2];
	pid_t child;
	char byte;

	if (pipe(ends))
		return -1;
	child = fork();
	if (!child) {
		close(ends[1]);
		if (read(ends[0], &byte, 1) != 1)
			_exit(125);
		close(ends[0]);
		execvp(*command, command);
		_exit(127);
	}
	close(ends[0]);
	*go = ends[1];
	return child;
}

static struct floor_bpf *attach(const char *program, size_t bytes, pid_t child)
{
	struct floor_bpf *floor = floor_bpf__open();
	struct bpf_program *chosen;

	if (!floor)
		return NULL;
	chosen = bpf_object__find_program_by_name(floor->obj, program);
	if (!chosen || bpf_program__set_autoload(chosen, true) || bpf_map__set_max_entries(floor->maps.ring, bytes))
		return NULL;
	floor->bss->tgid = child;
	if (floor_bpf__load(floor) || !bpf_program__attach(chosen))
		return NULL;
	return floor;
}

int main(int argc, char **argv)
{
	struct ring_buffer *ring;
	struct floor_bpf *floor;
	int go, status = 0;
	pid_t child;

	if (argc < 4)
		return fprintf(stderr, "usage: floor PROGRAM RING_BYTES COMMAND...\n"), 2;
	child = prepare(argv + 3, &go);
	floor = child < 0 ? NULL : attach(argv[1], strtoull(argv[2], NULL, 10), child);
	ring = floor ? ring_buffer__new(bpf_map__fd(floor->maps.ring), take, NULL, NULL) : NULL;
	if (!ring)
		return fprintf(stderr, "floor: %s cannot be loaded: %s\n", argv[1], strerror(errno)), 2;
	if (write(go, "", 1) != 1)
		return 2;
	while (waitpid(child, &status, WNOHANG) == 0) {
		usleep(5000);
		ring_buffer__consume(ring);
	}
	ring_buffer__consume(ring);
	fprintf(stderr, "{\"records\": %llu, \"lost\": %llu}\n", records, (unsigned long long)floor->bss->lost);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
