/* A bad disk: stands between the program and pwrite(2), for what the program writes
 * to its temporary files and for nothing else.
 *
 * BAD_DISK_DELAY_MS  how long each write takes
 * BAD_DISK_ROOM      bytes that can be written before the disk is full
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_llong written;

static int is_temporary(int fd)
{
	char link[64], path[4096];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t length = readlink(link, path, sizeof(path) - 1);
	if (length < 0)
		return 0;
	path[length] = 0;
	return strstr(path, "/.passel-") != NULL;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off_t offset)
{
	static ssize_t (*real)(int, const void *, size_t, off_t);
	if (real == NULL)
		real = (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite64");
	if (is_temporary(fd)) {
		const char *delay = getenv("BAD_DISK_DELAY_MS");
		const char *room = getenv("BAD_DISK_ROOM");
		if (delay != NULL)
			usleep((useconds_t)atol(delay) * 1000);
		if (room != NULL) {
			long long left = atoll(room) - atomic_load(&written);
			if (left <= 0) {
				errno = ENOSPC;
				return -1;
			}
			if ((long long)length > left)
				length = (size_t)left;
		}
		atomic_fetch_add(&written, (long long)length);
	}
	return real(fd, data, length, offset);
}
