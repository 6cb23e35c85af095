/* What private_darwin.py sees of macOS's libSystem, for its test on Linux: getattrlist(2)'s fgetattrlist with its
 * structure, constants and answer. It answers what it is told to, when it is asked in the right way.
 * What it does follows the manual page; nothing here was compared with a Mac. */

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ATTR_BIT_MAP_COUNT 5
#define ATTR_CMNEXT_PRIVATESIZE 0x00000008
#define FSOPT_ATTR_CMN_EXTENDED 0x00000020

struct attrlist {
	unsigned short bitmapcount;
	uint16_t reserved;
	uint32_t commonattr, volattr, dirattr, fileattr, forkattr;
};

struct answer {
	uint32_t length;
	int64_t private_size;
} __attribute__((aligned(4), packed));

/* What the next calls answer: an errno (so many times), a size, and whether the filesystem knows the size at all. */
int fail_errno, fail_times, last_fd, calls;
int64_t private_size;
int unknown;

int fgetattrlist(int fd, void *request, void *buffer, size_t size, unsigned long options)
{
	const struct attrlist *wanted = request;
	struct answer answer = {sizeof answer, private_size};

	last_fd = fd;
	calls++;
	if (fail_times > 0) {
		fail_times--;
		errno = fail_errno;
		return -1;
	}
	if (wanted->bitmapcount != ATTR_BIT_MAP_COUNT || wanted->reserved || options != FSOPT_ATTR_CMN_EXTENDED ||
	    wanted->commonattr || wanted->volattr || wanted->dirattr || wanted->fileattr ||
	    wanted->forkattr != ATTR_CMNEXT_PRIVATESIZE) {
		errno = EINVAL;
		return -1;
	}
	if (unknown)
		answer.length = sizeof answer.length;
	memcpy(buffer, &answer, size < answer.length ? size : answer.length);
	return 0;
}
