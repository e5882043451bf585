/* Preloaded into a program that valgrind runs: what the program "writes" to a file named `poison` counts as
 * secret from then on (valgrind calls it undefined, and reports every branch and address that depends on it), what it
 * writes to `unpoison` as known. So the program needs no call of its own into valgrind. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <valgrind/memcheck.h>

ssize_t write(int fd, const void *bytes, size_t length)
{
    char link[64], name[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t end = readlink(link, name, sizeof name - 1);
    name[end < 0 ? 0 : end] = 0;
    const char *last = strrchr(name, '/');
    if (last && !strcmp(last, "/poison")) {
        VALGRIND_MAKE_MEM_UNDEFINED(bytes, length);
        return (ssize_t)length;
    }
    if (last && !strcmp(last, "/unpoison")) {
        VALGRIND_MAKE_MEM_DEFINED(bytes, length);
        return (ssize_t)length;
    }
    return syscall(SYS_write, fd, bytes, length);
}
