/* What clone_darwin.py sees of macOS's libSystem, for its test on Linux: clonefile(2)'s three calls with their
 * signatures, flags and errno values. It copies instead of sharing blocks, writes down what it was called with,
 * and fails when it is told to. What it does follows the manual page; nothing here was compared with a Mac. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLONE_NOFOLLOW 0x1
#define CLONE_NOOWNERCOPY 0x2
#define CLONE_ACL 0x4

/* The last call; -1 and "" for an argument that it does not have. */
char last_call[16], last_source[4096], last_target[4096];
int last_source_fd, last_target_dir_fd;
uint32_t last_flags;
int calls;

static int fail_errno, fail_times;

/* Make the next calls fail with that errno. */
void fail_next(int number, int times)
{
	fail_errno = number;
	fail_times = times;
}

static void note(const char *call, int source_fd, const char *source, int target_dir_fd, const char *target, uint32_t flags)
{
	strncpy(last_call, call, sizeof last_call - 1);
	strncpy(last_source, source, sizeof last_source - 1);
	strncpy(last_target, target, sizeof last_target - 1);
	last_source_fd = source_fd;
	last_target_dir_fd = target_dir_fd;
	last_flags = flags;
	calls++;
}

static int refused(uint32_t flags)
{
	if (fail_times > 0) {
		fail_times--;
		errno = fail_errno;
		return 1;
	}
	if (flags & ~(uint32_t)(CLONE_NOFOLLOW | CLONE_NOOWNERCOPY | CLONE_ACL)) {
		errno = EINVAL;
		return 1;
	}
	return 0;
}

static int copy_file(int source, int dir_fd, const char *name)
{
	char block[65536];
	ssize_t n;
	struct stat st;
	struct timespec times[2];
	int target = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);

	if (target < 0 || fstat(source, &st) < 0)
		return -1;
	for (off_t at = 0; (n = pread(source, block, sizeof block, at)) > 0; at += n)
		if (pwrite(target, block, (size_t)n, at) != n)
			return -1;
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	/* The source's mode without setuid and setgid, and its times. */
	if (fchmod(target, st.st_mode & 01777) < 0 || futimens(target, times) < 0)
		return -1;
	return close(target);
}

static int clone_path(int source_dir_fd, const char *source, int target_dir_fd, const char *target, uint32_t flags)
{
	char link[4096];
	ssize_t n;
	int fd, result, nofollow = (flags & CLONE_NOFOLLOW) ? O_NOFOLLOW : 0;

	if (refused(flags))
		return -1;
	if (nofollow && (n = readlinkat(source_dir_fd, source, link, sizeof link - 1)) >= 0) {
		link[n] = 0;
		return symlinkat(link, target_dir_fd, target);
	}
	fd = openat(source_dir_fd, source, O_RDONLY | nofollow);
	if (fd < 0)
		return -1;
	result = copy_file(fd, target_dir_fd, target);
	close(fd);
	return result;
}

int clonefile(const char *source, const char *target, uint32_t flags)
{
	note("clonefile", -1, source, -1, target, flags);
	return clone_path(AT_FDCWD, source, AT_FDCWD, target, flags);
}

int clonefileat(int source_dir_fd, const char *source, int target_dir_fd, const char *target, uint32_t flags)
{
	note("clonefileat", source_dir_fd, source, target_dir_fd, target, flags);
	return clone_path(source_dir_fd, source, target_dir_fd, target, flags);
}

#ifndef WITHOUT_FCLONEFILEAT
int fclonefileat(int source_fd, int target_dir_fd, const char *target, uint32_t flags)
{
	note("fclonefileat", source_fd, "", target_dir_fd, target, flags);
	return refused(flags) ? -1 : copy_file(source_fd, target_dir_fd, target);
}
#endif
