/* What swapping.py sees of macOS's libSystem, for its test on Linux: renameatx_np(2) with its flags and errno values.
 * What it does follows the manual page; nothing here was compared with a Mac. */

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RENAME_SWAP 0x2
#define RENAME_EXCL 0x4

int calls, last_flags, fail_with;

int renameatx_np(int from_fd, const char *from, int to_fd, const char *to, unsigned int flags)
{
	calls++;
	last_flags = (int)flags;
	if (fail_with) {
		errno = fail_with;
		return -1;
	}
	if (flags == RENAME_SWAP)
		return renameat2(from_fd, from, to_fd, to, RENAME_EXCHANGE);
	if (flags == RENAME_EXCL)
		return renameat2(from_fd, from, to_fd, to, RENAME_NOREPLACE);
	errno = EINVAL;
	return -1;
}
