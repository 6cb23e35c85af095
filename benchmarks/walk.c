/* A bare walk: openat, readdir, fstatat of every name. The floor for any walker. Prints milliseconds a round. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void walk(int fd) {
    DIR *directory = fdopendir(fd);
    struct dirent *entry;
    struct stat status;
    if (!directory) { close(fd); return; }
    while ((entry = readdir(directory))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW)) continue;
        if (S_ISDIR(status.st_mode)) {
            int below = openat(dirfd(directory), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
            if (below >= 0) walk(below);
        }
    }
    closedir(directory);
}

int main(int count, char **words) {
    int rounds = count > 2 ? atoi(words[2]) : 1;
    if (count < 2) return 2;
    for (int round = 0; round < rounds; round++) {
        struct timespec start, end;
        clock_gettime(CLOCK_MONOTONIC, &start);
        walk(open(words[1], O_RDONLY | O_DIRECTORY));
        clock_gettime(CLOCK_MONOTONIC, &end);
        printf("%.3f\n", (end.tv_sec - start.tv_sec) * 1e3 + (end.tv_nsec - start.tv_nsec) / 1e6);
    }
    return 0;
}
