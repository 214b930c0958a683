// A 32-bit program: its calls enter the kernel by i386 numbers, which hooks on 64-bit syscall
// tracepoints do not see. Prints one JSON line with what a recorder should have seen of each call.
//
// Build: gcc -m32 -static -O1 -Wall -o caller32 caller32.c

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 64

static pid_t target;
static char *remote; // shared with the target
static char local[SIZE];
static int logged;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void expect(const char *what, long ret, long wanted)
{
	if (ret != wanted) {
		fprintf(stderr, "caller32: %s returned %ld, not %ld (errno %d)\n", what, ret, wanted, errno);
		exit(1);
	}
}

static unsigned address(const void *p)
{
	return (unsigned)(uintptr_t)p;
}

static void fill(char *buffer, int seed)
{
	for (int i = 0; i < SIZE; i++)
		buffer[i] = (char)(seed + i * 3);
}

// Begins an entry of the log: what all calls have in common.
static void entry(const char *event, long ret, long bytes)
{
	printf("%s{\"event\":\"%s\",\"abi\":\"compat32\",\"pid\":%d,\"tid\":%d", logged++ ? "," : "", event, getpid(), getpid());
	printf(",\"ret\":%ld,\"errno\":null,\"bytes\":", ret);
	printf(bytes < 0 ? "null" : "%ld", bytes);
}

static void payload(const char *bytes, int len, const char *side)
{
	printf(",\"payload_total\":%d,\"payload_side\":\"%s\",\"payload\":\"", len, side);
	for (int i = 0; i < len; i++)
		printf("%02x", (unsigned char)bytes[i]);
	printf("\"}");
}

static ino_t inode(int fd)
{
	struct stat st;
	if (fstat(fd, &st))
		die("fstat");
	return st.st_ino;
}

static void vm_calls(void)
{
	struct iovec liov[2] = {{local, 24}, {local + 24, SIZE - 24}}, riov[1] = {{remote, SIZE}};
	for (int write = 0; write < 2; write++) {
		fill(write ? local : remote, write);
		long ret = write ? process_vm_writev(target, liov, 2, riov, 1, 0) : process_vm_readv(target, liov, 2, riov, 1, 0);
		expect(write ? "process_vm_writev" : "process_vm_readv", ret, SIZE);
		entry(write ? "process_vm_writev" : "process_vm_readv", ret, ret);
		printf(",\"direction\":\"%s\",\"target_pid\":%d,\"target_pid_arg\":%d,\"flags\":0,\"bytes_requested\":%d",
		       write ? "out" : "in", target, target, SIZE);
		printf(",\"liovcnt\":2,\"local_iov\":[[%u,24],[%u,%d]]", address(local), address(local + 24), SIZE - 24);
		printf(",\"riovcnt\":1,\"remote_iov\":[[%u,%d]]", address(remote), SIZE);
		payload(write ? local : remote, SIZE, "caller");
	}
}

static void pipe_calls(void)
{
	int from[2], to[2];
	char sink[SIZE];
	struct iovec iov = {local, SIZE};
	if (pipe(from) || pipe(to))
		die("pipe");
	fill(local, 50);
	expect("vmsplice", vmsplice(from[1], &iov, 1, 0), SIZE);
	entry("vmsplice", SIZE, SIZE);
	printf(",\"direction\":\"out\",\"fd_out\":%d,\"pipe_out\":%llu,\"liovcnt\":1,\"local_iov\":[[%u,%d]],\"flags\":0,\"payload_by_ref\":true",
	       from[1], (unsigned long long)inode(from[1]), address(local), SIZE);
	payload(local, SIZE, "caller");
	expect("tee", tee(from[0], to[1], SIZE, 0), SIZE);
	entry("tee", SIZE, SIZE);
	printf(",\"fd_in\":%d,\"fd_out\":%d,\"bytes_requested\":%d,\"pipe_in\":%llu,\"pipe_out\":%llu,\"payload_status\":\"none\"}", from[0],
	       to[1], SIZE, (unsigned long long)inode(from[0]), (unsigned long long)inode(to[1]));
	expect("read", read(to[0], sink, SIZE), SIZE);
	expect("splice", splice(from[0], NULL, to[1], NULL, SIZE, 0), SIZE);
	entry("splice", SIZE, SIZE);
	printf(",\"fd_in\":%d,\"fd_out\":%d,\"bytes_requested\":%d,\"pipe_in\":%llu,\"payload_status\":\"none\"}", from[0], to[1], SIZE,
	       (unsigned long long)inode(from[0]));
	// Two numbers, sendfile and sendfile64, with offsets of 4 and 8 bytes.
	int file = memfd_create("caller32", 0);
	if (file < 0 || write(file, local, SIZE) != SIZE)
		die("memfd");
	for (int wide = 0; wide < 2; wide++) {
		uint64_t offset = 16;
		long ret = syscall(wide ? SYS_sendfile64 : SYS_sendfile, to[1], file, &offset, 32);
		expect("sendfile", ret, 32);
		entry("sendfile", ret, ret);
		printf(",\"fd_in\":%d,\"fd_out\":%d,\"off_in\":16,\"bytes_requested\":32,\"pipe_out\":%llu,\"payload_status\":\"none\"}", file, to[1],
		       (unsigned long long)inode(to[1]));
	}
}

static void ptrace_calls(void)
{
	long word = 0;
	if (ptrace(PTRACE_ATTACH, target, 0, 0))
		die("PTRACE_ATTACH");
	waitpid(target, NULL, __WALL);
	entry("ptrace", 0, -1);
	printf(",\"ptrace_request\":\"PTRACE_ATTACH\",\"target_pid\":%d}", target);
	fill(remote, 80);
	expect("PEEKDATA", syscall(SYS_ptrace, PTRACE_PEEKDATA, target, remote, &word), 0);
	entry("ptrace", 0, 4);
	printf(",\"ptrace_request\":\"PTRACE_PEEKDATA\",\"direction\":\"in\",\"target_pid\":%d,\"data\":%u,\"remote_iov\":[[%u,4]]", target,
	       address(&word), address(remote));
	payload(remote, 4, "caller");
	word = 0x04030201;
	expect("POKEDATA", syscall(SYS_ptrace, PTRACE_POKEDATA, target, remote, word), 0);
	entry("ptrace", 0, 4);
	printf(",\"ptrace_request\":\"PTRACE_POKEDATA\",\"direction\":\"out\",\"target_pid\":%d,\"data\":%ld,\"remote_iov\":[[%u,4]]", target, word,
	       address(remote));
	payload((char *)&word, 4, "register");
	if (ptrace(PTRACE_DETACH, target, 0, 0))
		die("PTRACE_DETACH");
	entry("ptrace", 0, -1);
	printf(",\"ptrace_request\":\"PTRACE_DETACH\",\"target_pid\":%d}", target);
}

static void mem_calls(void)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/mem", target);
	int fd = open(path, O_RDWR);
	if (fd < 0)
		die(path);
	for (int write = 0; write < 2; write++) {
		fill(write ? local : remote, 100 + write);
		off64_t at = address(remote);
		long ret = write ? pwrite64(fd, local, SIZE, at) : pread64(fd, local, SIZE, at);
		expect(write ? "pwrite" : "pread", ret, SIZE);
		entry(write ? "pwrite" : "pread", ret, ret);
		printf(",\"direction\":\"%s\",\"%s\":%d,\"target_pid\":%d,\"local_iov\":[[%u,%d]],\"remote_iov\":[[%u,%d]]", write ? "out" : "in",
		       write ? "fd_out" : "fd_in", fd, target, address(local), SIZE, address(remote), SIZE);
		payload(write ? local : remote, SIZE, "caller");
	}
}

int main(void)
{
	remote = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (remote == MAP_FAILED)
		die("mmap");
	target = fork();
	if (target == 0) {
		for (;;)
			pause();
	}
	printf("{\"pid\":%d,\"target_pid\":%d,\"log\":[", getpid(), target);
	vm_calls();
	pipe_calls();
	ptrace_calls();
	mem_calls();
	printf("]}\n");
	kill(target, SIGKILL);
	waitpid(target, NULL, 0);
	return 0;
}
