/* A disk that stands still: fsync, and with STALL=write every write to a recording, do not come back while the file that
 * STALLED names is there. Loaded before the C library. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static void stand_still(const char *what) {
  const char *flag = getenv("STALLED");
  const char *kind = getenv("STALL");
  if (flag == NULL || kind == NULL || strcmp(kind, what) != 0) return;
  while (access(flag, F_OK) == 0) usleep(10000);
}

static int is_recording(int fd) {
  char name[64], path[PATH_MAX];
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(name, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return strstr(path, ".partial") != NULL;
}

int fsync(int fd) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  if (is_recording(fd)) stand_still("fsync");
  return real(fd);
}

ssize_t write(int fd, const void *bytes, size_t count) {
  ssize_t (*real)(int, const void *, size_t) = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
  if (is_recording(fd)) stand_still("write");
  return real(fd, bytes, count);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  ssize_t (*real)(int, const struct iovec *, int) = (ssize_t (*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
  if (is_recording(fd)) stand_still("write");
  return real(fd, parts, count);
}
