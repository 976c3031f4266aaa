#define _GNU_SOURCE
#include "CLinux.h"

#include <linux/openat2.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

int glovebox_openat2(int directory, const char *path, uint64_t flags, uint64_t mode,
                     uint64_t resolve) {
    struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
    return (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
}

int glovebox_openat(int directory, const char *path, int flags, mode_t mode) {
    return openat(directory, path, flags, mode);
}

int glovebox_lock_held(int descriptor, int64_t start, int64_t length) {
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    if (fcntl(descriptor, F_OFD_GETLK, &lock) == -1) return -1;
    return lock.l_type != F_UNLCK;
}

int glovebox_lock_set(int descriptor, short type, int64_t start, int64_t length) {
    struct flock lock = {
        .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    return fcntl(descriptor, F_OFD_SETLK, &lock);
}

int glovebox_file_system_magic(int descriptor, uint32_t *magic) {
    struct statfs status;
    if (fstatfs(descriptor, &status) == -1) return -1;
    *magic = (uint32_t)status.f_type;
    return 0;
}

const char *glovebox_error_name(int number) { return strerrorname_np(number); }

const char *glovebox_error_sentence(int number) { return strerrordesc_np(number); }

int glovebox_memory_file(const char *name) { return memfd_create(name, MFD_CLOEXEC); }
